from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_core import ConfigError, ModelLoadError, load, read_config
from autocog_core.backends.random import RandomLM
from autocog_core.config import config_file
from autocog_core.config.plugins import WRAPPERS
from tests.support.small_backends import forget, install

Write = Callable[..., Path]
MODEL = '[models.m]\nbackend = "random"\n'


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the config files of this machine."""
    monkeypatch.delenv("AUTOCOG_CONFIG", raising=False)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(config_file, "user_config_path", lambda name: tmp_path / "home" / name)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(body: str, folder: str = "cwd", name: str = "autocog.toml") -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")
        return path

    return write


def check_refused(path: Path, *words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(config=path)
    message = str(caught.value)
    for word in (str(path), *words):
        assert word in message
    # The error left nothing behind: a correct call works.
    assert load(backend="random").greedy("x").size
    return message


def test_the_argument_comes_before_the_variable_the_folders_and_the_user(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = write(MODEL, "home/autocog")
    assert read_config().path == user
    parent = write(MODEL, ".")
    assert read_config().path == parent
    here = write(MODEL, "cwd")
    assert read_config().path == here
    variable = write(MODEL, "elsewhere", "other.toml")
    monkeypatch.setenv("AUTOCOG_CONFIG", str(variable))
    assert read_config().path == variable
    argument = write(MODEL, "argument")
    assert read_config(argument).path == argument


def test_without_a_file_the_config_is_empty_and_load_says_what_to_create() -> None:
    assert read_config().models == {}
    with pytest.raises(ConfigError, match="no model is configured") as caught:
        load()
    assert "autocog.toml" in caught.value.hint


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_a_named_file_that_does_not_exist_is_an_error(
    how: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(MODEL)
    if how == "variable":
        monkeypatch.setenv("AUTOCOG_CONFIG", "missing.toml")
    with pytest.raises(ConfigError, match=r"no such file: missing\.toml"):
        read_config("missing.toml" if how == "argument" else None)


@pytest.mark.parametrize(
    ("body", "key", "nearest"),
    [
        ('default_modle = "m"\n' + MODEL, "default_modle", "default_model"),
        ('[modles.m]\nbackend = "random"', "modles", "models"),
        ('[models.m]\nbakend = "random"', "models.m.bakend", "backend"),
        (MODEL + "[models.m.retry]\nretrys = 1", "models.m.retry.retrys", "retries"),
        (MODEL + "[models.m.options]\nsead = 1", "models.m.options.sead", "seed"),
        ('[models.retry]\nbakend = "random"', "models.retry.bakend", "backend"),
        (
            MODEL + '[[models.m.wrappers]]\nname = "w"\noptoins = {}',
            "models.m.wrappers.0.optoins",
            "options",
        ),
    ],
)
def test_an_unknown_key_is_an_error_with_file_key_and_nearest_name(
    write: Write, body: str, key: str, nearest: str
) -> None:
    message = check_refused(write(body), f"{key}: unknown key", f'did you mean "{nearest}"?')
    assert message.count(";") == 1, "nothing else is wrong with the file"


def test_all_errors_of_a_file_are_reported_at_once(write: Write) -> None:
    check_refused(
        write(MODEL + "bakend = 1\n[models.m.retry]\nretries = -1\ngrow = 2"),
        "models.m.bakend",
        "models.m.retry.retries",
        "models.m.retry.grow",
    )


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ("models = 5", "models"),
        ("[models]\nm = 5", "models.m"),
        ("default_model = 5\n" + MODEL, "default_model"),
        ("[models.m]\nbackend = 5", "models.m.backend"),
        (MODEL + "options = 5", "models.m.options"),
        (MODEL + 'wrappers = "trace"', "models.m.wrappers"),
        (MODEL + "wrappers = [5]", "models.m.wrappers.0"),
        (MODEL + 'options = { seed = "x" }', "models.m.options.seed"),
        (MODEL + "options = { scale = inf }", "models.m.options.scale"),
        (MODEL + "options = { scale = nan }", "models.m.options.scale"),
        (MODEL + "retry = { delta = inf }", "models.m.retry.delta"),
        (
            MODEL + "wrappers = [{ name = 'cache', options = { max_size_gb = inf } }]",
            "models.m.wrappers.cache.max_size_gb",
        ),
        (MODEL + "options = { scale = -1 }", "models.m.options.scale"),
        ("[models.m]\noptions = {}", "models.m.backend: missing"),
        ('path = "x"\n' + MODEL, "path: unknown key"),
    ],
)
def test_the_error_of_a_wrong_type_names_the_key(write: Write, body: str, key: str) -> None:
    check_refused(write(body), key)


@pytest.mark.parametrize("body", ["[models", "a = ", "= 1", "a = 1\na = 2"])
def test_the_error_of_invalid_toml_names_the_file(write: Write, body: str) -> None:
    check_refused(write(body), "is not valid TOML")


def test_a_file_that_is_nested_too_deeply_is_refused(write: Write) -> None:
    check_refused(write("a = " + "[" * 100_000), "is nested too deeply")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe[\0m\0]\0", "is UTF-16 text; save the file as UTF-8 text"),
        (b'# \xe4\n[models.m]\nbackend = "random"\n', ":1: is not valid UTF-8; save the file"),
    ],
)
def test_the_error_of_another_encoding_names_it(write: Write, content: bytes, problem: str) -> None:
    path = write("")
    path.write_bytes(content)
    check_refused(path, problem)


def test_a_byte_order_mark_is_no_part_of_the_file(write: Write) -> None:
    assert load(config=write("\ufeff" + MODEL)).name == "m"


def test_the_default_model_is_the_named_one_or_the_only_one(write: Write) -> None:
    two = MODEL + '[models.n]\nbackend = "table"\n'
    assert load(config=write(MODEL)).name == "m"
    assert load(config=write('default_model = "n"\n' + two)).name == "n"
    assert load("m", config=write('default_model = "n"\n' + two)).name == "m"
    check_refused(write(two), "no `default_model`", "m, n")
    check_refused(write('default_model = "mm"\n' + two), 'no model "mm"', 'did you mean "m"')


def test_a_model_that_is_not_configured_gets_the_nearest_name(write: Write) -> None:
    path = write('[models.small]\nbackend = "random"')
    with pytest.raises(ConfigError, match=r'no model "smal".*did you mean "small"'):
        load("smal", config=path)
    assert load("small", config=path).name == "small"


def test_options_completion_and_retry_reach_the_model(write: Write) -> None:
    path = write(
        MODEL + 'options = { seed = 7, vocabulary = "merges" }\ncompletion = { max_tokens = 3 }\n'
        "retry = { retries = 2, delta = 0.5 }"
    )
    model = load(config=path)
    expected = load(backend="random", options={"seed": 7, "vocabulary": "merges"})
    assert model.choose("x", ["a", "b"]) == expected.choose("x", ["a", "b"])
    assert len(model.complete("x").tokens) == 3
    assert len(load(config=path, completion={"max_tokens": 2}).complete("x").tokens) == 2
    assert read_config(path).models["m"].retry.policy().retries == 2


def test_load_with_a_backend_reads_no_config_file(write: Write) -> None:
    write("this is no TOML")
    assert load(backend="random").greedy("x").size
    with pytest.raises(ConfigError, match="either"):
        load("m", backend="random")
    with pytest.raises(ConfigError, match="options go with"):
        load(options={"seed": 1})


class TestEngines:
    BODY = (
        '[models.a]\nengine = "e"\nbackend = "random"\noptions = { seed = 3 }\n'
        '[models.b]\nengine = "e"\ncompletion = { max_tokens = 2 }\n'
    )

    @pytest.fixture
    def created(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
        calls: list[Any] = []
        real = RandomLM.create.__func__  # type: ignore[attr-defined]

        def create(cls: Any, **options: Any) -> Any:
            calls.append(options)
            return real(cls, **options)

        monkeypatch.setattr(RandomLM, "create", classmethod(create))
        return calls

    def test_models_of_one_engine_share_the_loaded_engine(
        self, write: Write, created: list[Any]
    ) -> None:
        path = write(self.BODY)
        with load("a", config=path) as a, load("b", config=path) as b:
            assert created == [{"seed": 3}]
            assert a.choose("x", ["1", "2"]) == b.choose("x", ["1", "2"])
            assert len(b.complete("x").tokens) == 2

    def test_closing_one_leaves_the_other_working_and_the_last_frees_the_engine(
        self, write: Write, created: list[Any]
    ) -> None:
        path = write(self.BODY)
        a, b = load("a", config=path), load("b", config=path)
        a.close()
        a.close()
        assert b.greedy("x").size
        assert load("a", config=path).greedy("x").size
        assert len(created) == 1
        b.close()

    def test_after_the_last_is_closed_the_engine_is_loaded_again(
        self, write: Write, created: list[Any]
    ) -> None:
        path = write(self.BODY)
        for _ in range(2):
            load("a", config=path).close()
        assert len(created) == 2

    def test_models_without_an_engine_share_nothing(self, write: Write, created: list[Any]) -> None:
        path = write(MODEL)
        load(config=path)
        load(config=path)
        assert len(created) == 2

    @pytest.mark.parametrize(
        ("key", "other"), [("options", "options = { seed = 4 }"), ("backend", 'backend = "table"')]
    )
    def test_models_of_one_engine_must_agree(self, write: Write, key: str, other: str) -> None:
        body = self.BODY + f'[models.c]\nengine = "e"\n{other}\n'
        check_refused(write(body), "models a, c" if key == "options" else "a, c", f"`{key}`")

    def test_an_engine_that_failed_to_load_is_tried_again(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(self.BODY)

        def create(**options: Any) -> Any:
            raise OSError("disk")

        with monkeypatch.context() as patch:
            patch.setattr(RandomLM, "create", create)
            with pytest.raises(ModelLoadError, match=r"model \"a\".*OSError: disk"):
                load("a", config=path)
        with load("a", config=path) as model:
            assert model.greedy("x").size


FILES = """
    from pathlib import Path
    from autocog_core import BackendOptions
    from autocog_core.config.options import Resource
    from autocog_core.backends.random import RandomLM

    class FileLM(RandomLM):
        class Options(BackendOptions):
            file: Resource
            key: str = ""

        seen = None

        @classmethod
        def create(cls, file, key=""):
            FileLM.seen = (file, key)
            return {}
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    site = tmp_path / "site"
    install(site, "autocog-files", {"autocog": {"files": "files_plugin:FileLM"}}, {})
    install(site, "other", {}, {"files_plugin": FILES})
    (site / "with_data").mkdir()
    (site / "with_data" / "__init__.py").write_text("raise RuntimeError('imported')")
    (site / "with_data" / "model.gguf").write_text("")
    monkeypatch.syspath_prepend(site)
    yield lambda: sys.modules["files_plugin"].FileLM.seen
    forget("files_plugin", "with_data")


def options(text: str) -> str:
    return f'[models.m]\nbackend = "files"\noptions = {{ {text} }}\n'


def test_relative_paths_are_relative_to_the_config_file(
    write: Write, files: Callable[[], Any], tmp_path: Path
) -> None:
    write("", "far", "model.gguf")
    load(config=write(options('file = "./model.gguf"'), "far"))
    assert Path(files()[0]).resolve() == tmp_path / "far" / "model.gguf"


def test_a_file_of_a_package_is_found_without_importing_the_package(
    write: Write, files: Callable[[], Any], tmp_path: Path
) -> None:
    load(config=write(options('file = "package:with_data/model.gguf"')))
    assert files()[0] == str(tmp_path / "site" / "with_data" / "model.gguf")
    assert "with_data" not in sys.modules


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("package:not_there_at_all/x.gguf", 'no installed Python package "not_there_at_all"'),
        ("package:with_data/other.gguf", "model.gguf"),
        ("package:", "no installed Python package"),
        ("package:a.b/c", "no installed Python package"),
        ("./missing.gguf", "no file or folder"),
    ],
)
def test_the_error_of_a_missing_file_names_the_key(
    write: Write, files: Callable[[], Any], reference: str, message: str
) -> None:
    check_refused(write(options(f'file = "{reference}"')), "models.m.options.file", message)


def test_a_name_on_a_hub_stays_unchanged(write: Write, files: Callable[[], Any]) -> None:
    load(config=write(options('file = "some-owner/some-model"')))
    assert files()[0] == "some-owner/some-model"


def test_secrets_come_from_the_environment_and_a_missing_one_is_named(
    write: Write, files: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(options('file = "some/model", key = "env:FILES_KEY"'))
    monkeypatch.delenv("FILES_KEY", raising=False)
    check_refused(path, "models.m.options.key", "FILES_KEY is not set")
    monkeypatch.setenv("FILES_KEY", "k-12345")
    load(config=path)
    assert files()[1] == "k-12345"


TAG = """
    from autocog_core import BackendOptions, hookimpl

    LOG = []

    class Tag:
        contract = 1

        class Options(BackendOptions):
            tag: str = "default"

        def __init__(self, tag="default"):
            self.tag = tag

        @hookimpl(wrapper=True)
        def greedy_impl(self, tokens):
            LOG.append(self.tag)
            return (yield)
"""


@pytest.fixture
def tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    install(tmp_path / "site", "tagging", {WRAPPERS: {"tag": "tag_wrapper:Tag"}}, {})
    install(tmp_path / "site", "tag-code", {}, {"tag_wrapper": TAG})
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield lambda: list(sys.modules["tag_wrapper"].LOG)
    forget("tag_wrapper")


def test_wrappers_are_named_outermost_first_alone_or_with_options(
    write: Write, tags: Callable[[], list[str]]
) -> None:
    wrappers = '["tag", { name = "tag", options = { tag = "inner" } }]'
    load(config=write(MODEL + f"wrappers = {wrappers}")).greedy("x")
    assert tags() == ["default", "inner"]


@pytest.mark.parametrize(
    ("wrappers", "words"),
    [
        ('[{ name = "tag", options = { tga = "x" } }]', ("tga", 'did you mean "tag"')),
        ('[{ name = "tag", options = { tag = 5 } }]', ("wrappers.tag.tag",)),
        ('[{ name = "tag", options = { tag = "env:NOT_SET" } }]', ("NOT_SET is not set",)),
    ],
)
def test_the_error_of_a_wrong_wrapper_option_names_the_key(
    write: Write, tags: Callable[[], list[str]], wrappers: str, words: tuple[str, ...]
) -> None:
    check_refused(write(MODEL + f"wrappers = {wrappers}"), *words)


def test_the_config_cannot_be_changed_once_read(write: Write) -> None:
    config = read_config(write(MODEL))
    with pytest.raises(ValueError, match="frozen"):
        config.models["m"].backend = "table"  # type: ignore[misc]
