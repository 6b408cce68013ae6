"""The doctor: child processes that hang or crash, damaged metadata, config files, secrets."""

from __future__ import annotations

import atexit
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field

from autocog_core import BackendOptions, UsageError, read_config, redaction
from autocog_core.config import plugins
from autocog_core.config.config_file import find_config
from autocog_core.doctor import PluginReport, examine
from autocog_core.doctor.config_report import examine_config
from autocog_core.doctor.model_reports import ModelReport, examine_model
from autocog_core.doctor.plugin_reports import examine_plugin, find_unreadable_distributions
from autocog_core.doctor.probe import ProbeChannel, run_probe
from autocog_core.doctor.report_redaction import (
    referenced_variables,
    register_hidden_options,
    register_secrets,
    to_json_data,
)
from autocog_core.model.load import hidden_options
from autocog_core.redaction import is_secret_name
from tests.support.small_backends import install

GOOD = """
    from autocog_core.backends.random import RandomLM

    class GoodLM(RandomLM):
        pass
"""
SLOW = """
    import os, signal, sys, time
    from typing import Literal
    from pydantic import Field
    from autocog_core import BackendOptions
    from autocog_core.backends.random import RandomLM
    from dataclasses import replace

    class SlowLM(RandomLM):
        class Options(BackendOptions):
            mode: Literal["slow", "raise", "crash"]
            api_key: str = ""
            bearer: str = Field("", repr=False)

        def __init__(self, *, mode, completion_kwargs=None, **options):
            super().__init__(completion_kwargs=completion_kwargs)
            self.mode = mode

        @classmethod
        def create(cls, mode, api_key="", bearer=""):
            if mode == "raise":
                raise OSError(f"refused: {api_key} {bearer}")
            if mode == "crash":
                print(f"fatal: {api_key} {bearer} is not right", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGSEGV)
            return {"mode": mode}

        def describe_impl(self):
            info = super().describe_impl()
            details = {"odd": float("inf"), "set": {1}, "raw": b"\\xff"}
            slow = lambda: str(time.sleep(60))
            return replace(info, details=details, eos=(), compute_fingerprint=slow)
"""


@pytest.fixture(autouse=True)
def no_registered_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of one test must not garble the messages of the next."""
    monkeypatch.setattr(redaction, "_known_secrets", set())


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., plugins.InstalledPlugin]:
    """Install one plugin called "odd"; it is never imported in this process."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(
        source: str, target: str = "GoodLM", group: str = plugins.BACKENDS, name: str = "odd"
    ) -> plugins.InstalledPlugin:
        points = {group: {name: f"odd_module:{target}"}}
        install(tmp_path, "autocog-odd", points, {"odd_module": source})
        return plugins.find_installed(name, group)

    return put


Put = Callable[..., plugins.InstalledPlugin]


def problem_of(report: PluginReport | ModelReport) -> tuple[str, str]:
    assert report.problem is not None
    return report.problem.message, report.problem.fix


def test_a_plugin_that_exits_at_import_is_reported(put: Put) -> None:
    report = examine_plugin(put("import os; os._exit(0)"), timeout=60)
    assert problem_of(report) == (
        "the process exited with code 0 while importing the plugin",
        "pip install --upgrade --force-reinstall autocog-odd",
    )
    assert report.import_seconds is None


@pytest.mark.slow
def test_a_plugin_that_hangs_is_killed_with_its_child_processes(put: Put, tmp_path: Path) -> None:
    started = tmp_path / "started"
    plugin = put(
        f"""
        import subprocess, sys, time
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        open({str(started)!r}, "w").write(str(sleeper.pid))
        time.sleep(300)
        """
    )
    # On a busy machine Python alone may take longer than the shorter time.
    for timeout in (3, 20):
        message, fix = problem_of(examine_plugin(plugin, timeout))
        assert message.startswith(f"the process did not end within {timeout} s; it was ")
        assert "--timeout" in fix
        if started.exists():
            break
    assert message.endswith("it was importing the plugin")
    assert _is_gone(int(started.read_text()))


def _is_gone(process: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                return True
            state = "?"
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_output_and_child_processes_of_a_plugin_do_no_harm(put: Put) -> None:
    # The sleeper inherits the streams, and outlives the probe: waiting for it would time out.
    noise = """
    import subprocess, sys, time
    print('{"contract": 7}')
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    time.sleep(0.3)
    """
    report = examine_plugin(put(noise + GOOD), timeout=60)
    assert (report.problem, report.contract) == (None, 1)
    assert "greedy_impl" in report.hooks
    assert report.import_seconds is not None
    assert 0.3 < report.import_seconds < 60


def check_and_end(channel: ProbeChannel, ending: str) -> None:
    """Report a fact, then end the process in one of several ways."""
    print('{"step": "lying"}', flush=True)
    print("\xff no JSON", flush=True)
    channel.report(step="first", text="half", number=1)
    channel.report(step="second", text="whole")
    endings: dict[str, Callable[[], object]] = {
        "return": lambda: None,
        "raise": lambda: [][0],
        "exit": lambda: sys.exit(3),
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "exit later": lambda: atexit.register(os._exit, 4),
    }
    endings[ending]()


@pytest.mark.parametrize(
    ("ending", "message", "step"),
    [
        ("return", None, "exiting"),
        ("raise", "IndexError: list index out of range", "exiting"),
        ("exit", "the process exited with code 3 while second", "second"),
        ("kill", "the process was killed by SIGKILL (out of memory?) while second", "second"),
        pytest.param(
            *("exit later", "the process exited with code 4 while exiting", "exiting"),
            marks=pytest.mark.soak,
        ),
    ],
)
def test_a_probe_keeps_the_facts_however_its_process_ends(
    ending: str, message: str | None, step: str
) -> None:
    check = f"{__name__}:{check_and_end.__name__}"
    result = run_probe(check, [ending], timeout=60, fix="reinstall")
    assert (result.facts, result.step) == ({"text": "whole", "number": 1}, step)
    assert not result.timed_out
    if message is None:
        assert result.problem is None
    else:
        assert result.problem is not None
        assert result.problem.message.startswith(message)
        assert result.problem.fix == ("reinstall" if "process" in message else "")


def test_a_secret_in_the_name_of_a_step_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "exiting")
    check = f"{__name__}:{check_and_end.__name__}"
    result = run_probe(check, ["return"], timeout=60, fix="")
    assert (result.problem, result.step) == (None, "exiting")


def test_a_command_with_the_name_of_one_of_cores_is_reported(put: Put) -> None:
    source = "import typer\napp = typer.Typer()\n@app.command()\ndef choose():\n    pass\n"
    plugin = put(source, "app", plugins.COMMANDS, "choose")
    message, fix = problem_of(examine_plugin(plugin, timeout=60))
    assert 'autocog has its own command "choose"' in message
    assert "authors" in fix


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("METADATA", None, "its METADATA cannot be read"),
        ("METADATA", b"Metadata-Version: 2.1\nName: autocog-odd\n", "METADATA"),
        ("entry_points.txt", b"[autocog]\nodd\n", "its entry_points.txt cannot be read"),
        ("entry_points.txt", b"[autocog]\nodd = \xe9:X\n", "its entry_points.txt cannot be read"),
    ],
)
def test_damaged_metadata_are_reported_with_their_folder(
    put: Put, tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    put(GOOD)
    assert list(find_unreadable_distributions()) == []
    path = tmp_path / "autocog_odd-1.0.dist-info" / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    (damaged,) = find_unreadable_distributions()
    assert damaged.folder == str(path.parent)
    assert message in damaged.problem.message
    assert str(path.parent) in damaged.problem.fix


def examine_one(tmp_path: Path, options: str, timeout: float = 60) -> ModelReport:
    text = f'[models.one]\nbackend = "odd"\noptions = {options}\n'
    (tmp_path / "autocog.toml").write_text(text, encoding="utf-8")
    config = read_config(tmp_path / "autocog.toml")
    register_secrets(config)
    return examine_model("one", config, [], is_default=True, load=True, timeout=timeout)


@pytest.mark.slow
def test_a_slow_fingerprint_is_not_an_error(put: Put, tmp_path: Path) -> None:
    put(SLOW, "SlowLM")
    # On a busy machine loading alone may take longer than the shorter time.
    for timeout in (4, 30):
        report = examine_one(tmp_path, '{ mode = "slow" }', timeout)
        if report.state == "loads":
            break
    assert (report.state, report.problem, report.fingerprint) == ("loads", None, None)
    assert report.facts["vocabulary_size"] > 256
    assert report.resident_bytes is not None
    assert 10e6 < report.resident_bytes < 10e9
    # Details that JSON does not know become text.
    assert report.facts["details"] == {"odd": "inf", "set": [1], "raw": r"b'\xff'"}
    # Its chat template ends turns with what it does not declare as EOS.
    (warning,) = report.warnings
    assert "ends turns with <|eos|>" in warning
    assert "no EOS is declared" in warning


@pytest.mark.parametrize("mode", ["raise", "crash"])
def test_keys_in_options_are_in_no_message_and_in_no_output_of_a_crash(
    put: Put, tmp_path: Path, mode: str
) -> None:
    put(SLOW, "SlowLM")
    options = f'{{ mode = "{mode}", api_key = "literal-4711", bearer = "bearing-0815" }}'
    report = examine_one(tmp_path, options)
    message = problem_of(report)[0]
    assert "***" in message
    assert "4711" not in repr(report)
    assert "0815" not in repr(report)
    if mode == "crash":
        crash = "the process was killed by SIGSEGV while loading the model"
        assert message == f"{crash}: fatal: *** *** is not right"
        fix = problem_of(report)[1]
        assert fix.startswith("to see all its output, run: autocog tokenize --config ")


class Hides(BackendOptions):
    """Options of a wrapper or a backend, with a hidden one."""

    word: str = Field("", repr=False)


def test_hidden_options_are_removed_in_a_process_that_does_not_import_the_plugins(
    tmp_path: Path,
) -> None:
    path = tmp_path / "autocog.toml"
    path.write_text(
        '[models.one]\nbackend = "odd"\noptions = { seen = "of-backend", word = "Use own-word" }\n'
        'wrappers = ["plain", { name = "w", options = { word = "wrappers-word" } }]\n'
    )

    class Plugin:
        Options = Hides

    names = hidden_options(Plugin)
    assert names == ["word"]
    register_hidden_options(read_config(path).models["one"], [names, [], names])
    assert to_json_data("of-backend own-word wrappers-word") == "of-backend *** ***"


@pytest.mark.parametrize("timeout", [0.0, -1.0, math.nan, math.inf])
def test_a_timeout_must_be_positive_and_finite(timeout: float) -> None:
    with pytest.raises(UsageError, match="not a positive, finite number"):
        examine(timeout=timeout)


def test_the_locations_and_the_file_in_use_are_those_of_find_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, home = tmp_path / "above" / "here", tmp_path / "user"
    here.mkdir(parents=True)
    (home / "autocog").mkdir(parents=True)
    monkeypatch.setattr(
        "autocog_core.config.config_file.user_config_path", lambda name: home / name
    )
    monkeypatch.chdir(here)
    order = [
        tmp_path / "argument.toml",
        tmp_path / "variable.toml",
        here / "autocog.toml",
        here.parent / "autocog.toml",
        tmp_path / "autocog.toml",
        home / "autocog" / "autocog.toml",
    ]
    kinds = ["argument", "variable", "here", "above", "above", "user"]
    for path in order:
        path.write_text("", encoding="utf-8")
    for first, path in enumerate(order):
        argument = order[0] if first == 0 else None
        monkeypatch.setenv("AUTOCOG_CONFIG", str(order[1]) if first <= 1 else "")
        report, _ = examine_config(argument)
        existing = [location for location in report.locations if location.exists]
        assert [location.path for location in existing if location.is_used] == [str(path)]
        assert find_config(argument) == path.resolve()
        assert [(location.kind, location.path) for location in existing] == [
            (kind, str(file)) for kind, file in zip(kinds[first:], order[first:], strict=True)
        ]
        if first > 1:
            path.unlink()


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("OPENAI_API_KEY", True),
        ("api_key", True),
        (".headers.X-Anything", True),
        ("HF_TOKEN", True),
        ("PWD", False),
        ("max_tokens", False),
        ("tokenizer", False),
        ("SSH_AUTH_SOCK", False),
        ("AUTOCOG_CACHE", False),
    ],
)
def test_secret_names(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_secrets_of_the_config_and_the_environment_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_SERVICE_API_KEY", "from-environment")
    monkeypatch.setenv("PLAIN_NAME", "named-by-config")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:within-proxy@proxy:8080")
    path = tmp_path / "autocog.toml"
    path.write_text(
        '[models.one]\nbackend = "random"\n'
        "[models.one.options]\n"
        'headers = { X-Custom = "Bearer within-headers" }\n'
        'base_url = "http://me:within-url@host/v1"\n'
        'proxy = "https://userinfo-alone@host/v1"\n'
        'query = "https://host/v1?api_key=within-query&model=plain-model#here"\n'
        'encoded = "https://me:a%2Fpassword@host?x=1&access_token=coded%2Btoken"\n'
        'other = ["env:PLAIN_NAME"]\n'
        'wrappers = [{ token = "within-list" }]\n'
        "[models.one.completion]\n"
        'extra_headers = { X-Custom = "within-completion" }\n',
        encoding="utf-8",
    )
    config = read_config(path)
    register_secrets(config)
    assert referenced_variables(config) == ["PLAIN_NAME"]
    for secret in (
        "from-environment",
        "named-by-config",
        "within-headers",
        "within-url",
        "within-list",
        "within-proxy",
        "userinfo-alone",
        "within-query",
        "a%2Fpassword",
        "a/password",
        "coded%2Btoken",
        "coded+token",
        "within-completion",
    ):
        assert secret not in repr(to_json_data({"a": [f"x {secret} y"], secret: 1}))
    assert to_json_data("https://host/v1 plain-model") == "https://host/v1 plain-model"


COUNTED = """
    import os
    from pathlib import Path
    from autocog_core.backends.random import RandomLM

    class CountedLM(RandomLM):
        @classmethod
        def create(cls, **options):
            with open(os.environ["AUTOCOG_TEST_LOADS"], "a") as file:
                file.write("x")
            return super().create(**options)

        def __init__(self, *, completion_kwargs=None, **options):
            super().__init__(completion_kwargs=completion_kwargs, **options)
            if completion_kwargs == {"max_tokens": 3}:
                raise OSError("third")
            if completion_kwargs == {"max_tokens": 4}:
                os._exit(7)
"""


@pytest.mark.slow
def test_an_engine_that_models_share_is_loaded_once(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(COUNTED, "CountedLM")
    monkeypatch.setenv("AUTOCOG_TEST_LOADS", str(tmp_path / "loads"))
    models = ['[models.m1]\nbackend = "odd"\nengine = "e"\noptions = { seed = 3 }\n']
    models += [
        f'[models.m{n}]\nengine = "e"\ncompletion = {{ max_tokens = {n} }}\n' for n in (2, 3, 5, 4)
    ]
    config = tmp_path / "autocog.toml"

    def examine_all(text: str) -> list[ModelReport]:
        config.write_text(text, encoding="utf-8")
        read, known = read_config(config), {}
        return [
            examine_model(name, read, [], is_default=False, load=True, timeout=60, known=known)
            for name in read.models
        ]

    reports = examine_all("".join(models))
    assert [report.state for report in reports] == ["loads", "loads", "error", "loads", "error"]
    assert "OSError: third" in problem_of(reports[2])[0]
    assert reports[0].facts == reports[1].facts == reports[3].facts
    assert reports[0].fingerprint == reports[3].fingerprint is not None
    # Of a process that ends early, the finished models count. The others are examined alone.
    assert "exited with code 7" in problem_of(reports[4])[0]
    assert (tmp_path / "loads").read_text() == "xx"
