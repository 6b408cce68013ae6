from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autocog_core import (
    ConfigError,
    ModelLoadError,
    PluginBrokenError,
    PluginConflictError,
    PluginContractError,
    PluginDependencyError,
    PluginNotInstalledError,
    load,
)
from autocog_core.config import plugins
from autocog_core.config.backend_names import BACKEND_ALIASES, BackendAlias
from autocog_core.config.plugins import WRAPPERS, backends_with_hook, installed_plugins, load_class
from tests.support.small_backends import forget, install

GOOD = """
    from autocog_core.backends.random import RandomLM

    class GoodLM(RandomLM):
        pass
"""
MODULES = {
    "good_plugin": GOOD,
    "broken_plugin": "raise RuntimeError('half written')",
    "needy_plugin": "import a_module_that_is_not_there",
    "torn_plugin": "import torn_plugin.inside",
    "exiting_plugin": GOOD + "    GoodLM.contract = 99",
    "older_plugin": GOOD + "    GoodLM.contract = 0",
    "silent_plugin": "class GoodLM:\n    pass",
    "function_plugin": GOOD + "    GoodLM.create = None",
    "misspelt_plugin": """
        from autocog_core import hookimpl
        from autocog_core.backends.random import RandomLM

        class GoodLM(RandomLM):
            @hookimpl
            def gready_impl(self, tokens):
                pass
    """,
}
Install = Callable[..., None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install backends: name -> module, each in a separate distribution."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(version: str = "1.0", suffix: str = "", **backends: str) -> None:
        for name, module in backends.items():
            install(
                tmp_path,
                f"autocog-{name}{suffix}",
                {"autocog": {name: f"{module}:GoodLM"}},
                {module: MODULES[module]},
                version,
            )

    yield put
    forget(*MODULES)


def test_a_backend_of_this_project_that_is_not_installed_gets_its_pip_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autocog_core.config.plugins.installed_plugins", lambda group: [])
    with pytest.raises(PluginNotInstalledError) as caught:
        load(backend="llamacpp")
    assert caught.value.hint == "pip install autocog-llamacpp"


def test_an_unknown_name_gets_the_nearest_one_and_no_invented_package() -> None:
    with pytest.raises(PluginNotInstalledError, match="rnadom") as caught:
        load(backend="rnadom")
    assert 'did you mean "random"' in caught.value.hint
    assert "pip install" not in caught.value.hint
    assert load(backend="random").greedy("x").size


def test_names_of_engines_and_servers_stand_for_their_backends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plugins, "_entry_points", lambda group: [])
    with pytest.raises(PluginNotInstalledError) as caught:
        load(backend="vLLM", options={"model": "x"})
    assert str(caught.value) == (
        'backend "vLLM": vLLM is a server: autocog\'s backend "openai", and no installed '
        "distribution provides it; pip install autocog-openai"
    )
    monkeypatch.undo()
    known = plugins.FIRST_PARTY_PLUGINS[plugins.BACKENDS]
    assert {alias.backend for alias in BACKEND_ALIASES.values()} == set(known)
    assert not BACKEND_ALIASES.keys() & known.keys()
    assert all(name == name.lower() for name in BACKEND_ALIASES)
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("|")]
    for name, alias in BACKEND_ALIASES.items():
        (row,) = (row for row in rows if f"`{name}`" in row)
        assert f"| `{alias.backend}` |" in row
        assert (alias.base_url or "") in row


def test_an_alias_loads_its_backend_with_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alias = BackendAlias("random", "Noise")
    monkeypatch.setattr(BackendAlias, "options", {"seed": 5, "vocabulary": "merges"})
    monkeypatch.setitem(BACKEND_ALIASES, "noise", alias)
    with (
        load(backend="random", options={"seed": 6, "vocabulary": "merges"}) as expected,
        load(backend="noise", options={"seed": 6}) as model,
    ):
        assert model.info == expected.info
        assert model.greedy("a").tolist() == expected.greedy("a").tolist()
    config = tmp_path / "autocog.toml"
    config.write_text('[models.m]\nbackend = "noise"\n')
    with load(config=config) as model:
        assert model.info.vocabulary_size == expected.info.vocabulary_size


def test_a_plugin_with_the_name_of_an_alias_comes_first(put: Install) -> None:
    put(vllm="good_plugin")
    assert load_class("vllm").__name__ == "GoodLM"
    assert plugins.find_alias("vllm") is None


def test_an_installed_backend_is_found_by_its_entry_point(put: Install) -> None:
    put(good="good_plugin")
    assert load(backend="good", options={"seed": 3}).choose("x", ["a", "b"]).scores


def test_listing_imports_nothing(put: Install) -> None:
    put(good="good_plugin", broken="broken_plugin", needy="needy_plugin", version="2.5")
    installed = {plugin.name: plugin for plugin in installed_plugins()}
    assert {"good", "broken", "needy", "random", "table"} <= set(installed)
    assert (installed["good"].distribution, installed["good"].version) == ("autocog-good", "2.5")
    assert not {"good_plugin", "broken_plugin", "needy_plugin"} & set(sys.modules)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("entry_points.txt", b"[autocog]\nodd\n"),
        ("entry_points.txt", b"[autocog]\nodd = \xe9:X\n"),
        ("METADATA", b"Metadata-Version: 2.1\n"),
        ("METADATA", None),
    ],
)
def test_a_damaged_distribution_does_not_hide_others(
    put: Install, tmp_path: Path, file: str, content: bytes | None
) -> None:
    put(good="good_plugin")
    install(tmp_path, "autocog-odd", {"autocog": {"odd": "odd:X"}}, {})
    damaged = tmp_path / "autocog_odd-1.0.dist-info" / file
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    names = {plugin.name for plugin in installed_plugins()}
    assert {"good", "random"} <= names
    assert "odd" not in names
    assert load(backend="good").greedy("x").size


def test_a_plugin_that_exits_at_import_is_broken(put: Install, tmp_path: Path) -> None:
    source = {"quit_plugin": "import sys; sys.exit(0)"}
    install(tmp_path, "autocog-quit", {"autocog": {"quit": "quit_plugin:X"}}, source)
    put(good="good_plugin")
    with pytest.raises(PluginBrokenError, match="SystemExit"):
        load(backend="quit")


def test_the_fix_of_a_name_conflict_is_never_to_remove_core(put: Install, tmp_path: Path) -> None:
    install(tmp_path, "a-taker", {"autocog": {"table": "good_plugin:GoodLM"}}, {})
    put(good="good_plugin")
    with pytest.raises(PluginConflictError) as caught:
        load(backend="table")
    assert "pip uninstall a-taker" in caught.value.hint


def test_a_missing_dependency_is_named_with_the_command_that_installs_it(put: Install) -> None:
    put(needy="needy_plugin")
    with pytest.raises(PluginDependencyError, match="a_module_that_is_not_there") as caught:
        load(backend="needy")
    assert "pip install autocog-needy" in caught.value.hint
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("broken_plugin", "RuntimeError: half written"),
        ("torn_plugin", "cannot be imported"),
        ("silent_plugin", "declares no `contract`"),
        ("function_plugin", "no usable `create`"),
    ],
)
def test_the_error_of_a_broken_plugin_names_its_distribution(
    put: Install, module: str, message: str
) -> None:
    put(bad=module)
    with pytest.raises(PluginBrokenError, match=message) as caught:
        load(backend="bad")
    assert "autocog-bad 1.0" in str(caught.value)


def test_an_entry_point_without_its_class_is_broken(put: Install, tmp_path: Path) -> None:
    put(good="good_plugin")
    install(tmp_path, "autocog-gone", {"autocog": {"gone": "good_plugin:Nothing"}}, {})
    with pytest.raises(PluginBrokenError, match="Nothing"):
        load(backend="gone")


def test_a_broken_plugin_is_not_imported_when_another_is_loaded(put: Install) -> None:
    put(broken="broken_plugin", good="good_plugin", needy="needy_plugin")
    with pytest.raises(PluginBrokenError):
        load(backend="broken")
    forget("broken_plugin")
    assert load(backend="good").greedy("x").size
    assert "broken_plugin" not in sys.modules
    assert "needy_plugin" not in sys.modules


@pytest.mark.parametrize(
    ("module", "version", "upgrade"),
    [("exiting_plugin", "99", "autocog-core"), ("older_plugin", "0", "autocog-other")],
)
def test_another_contract_names_both_versions_and_what_to_upgrade(
    put: Install, module: str, version: str, upgrade: str
) -> None:
    put(other=module)
    with pytest.raises(PluginContractError) as caught:
        load(backend="other")
    assert f"contract {version}" in str(caught.value)
    assert "supports 1" in str(caught.value)
    assert f"--upgrade {upgrade}" in caught.value.hint


def test_a_name_of_two_distributions_is_an_error_that_names_both(put: Install) -> None:
    put(good="good_plugin")
    put(good="good_plugin", suffix="-fork", version="0.2")
    with pytest.raises(PluginConflictError) as caught:
        load(backend="good")
    assert "autocog-good 1.0" in str(caught.value)
    assert "autocog-good-fork 0.2" in str(caught.value)
    assert load(backend="random").greedy("x").size


def test_a_distribution_twice_on_the_path_is_not_a_conflict(
    put: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(good="good_plugin")
    monkeypatch.syspath_prepend(f"{tmp_path}/")
    assert load(backend="good").greedy("x").size


def test_disabled_plugins_are_neither_listed_nor_loaded(
    put: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(good="good_plugin", broken="broken_plugin")
    monkeypatch.setenv("AUTOCOG_DISABLE_PLUGINS", "broken, good")
    assert not {"good", "broken"} & {plugin.name for plugin in installed_plugins()}
    with pytest.raises(PluginNotInstalledError, match="AUTOCOG_DISABLE_PLUGINS"):
        load(backend="good")
    monkeypatch.setenv("AUTOCOG_DISABLE_PLUGINS", "broken")
    assert load(backend="good").greedy("x").size


def test_a_misspelled_hook_is_an_error_with_the_nearest_name(put: Install) -> None:
    put(misspelt="misspelt_plugin")
    with pytest.raises(PluginBrokenError, match="gready_impl") as caught:
        load(backend="misspelt")
    assert 'did you mean "greedy_impl"' in caught.value.hint


def test_backends_with_a_hook_are_listed_without_broken_ones(put: Install) -> None:
    put(good="good_plugin", broken="broken_plugin", needy="needy_plugin")
    able = backends_with_hook("greedy_impl")
    assert {"good", "random", "table"} <= set(able)
    assert not {"broken", "needy"} & set(able)


def test_the_error_of_an_unknown_wrapper_calls_it_a_wrapper() -> None:
    with pytest.raises(PluginNotInstalledError, match='wrapper "tracing"'):
        load_class("tracing", WRAPPERS)


def test_a_backend_and_a_wrapper_may_share_a_name(tmp_path: Path, put: Install) -> None:
    wrapper = "class Wrapper:\n    contract = 1\n    class Options:\n        pass\n"
    install(tmp_path, "both", {WRAPPERS: {"random": "a_wrapper:Wrapper"}}, {"a_wrapper": wrapper})
    assert load_class("random", WRAPPERS).__name__ == "Wrapper"
    assert load_class("random").__name__ == "RandomLM"
    forget("a_wrapper")


@pytest.mark.parametrize("missing", ["a_module_that_is_not_there", "gone_plugin"])
def test_a_dependency_missing_in_create_is_a_dependency_error(
    put: Install, tmp_path: Path, missing: str
) -> None:
    source = (
        GOOD + f"        @classmethod\n        def create(cls):\n            import {missing}\n"
    )
    install(
        tmp_path,
        "autocog-late",
        {"autocog": {"late": "late_plugin:GoodLM"}},
        {"late_plugin": source},
    )
    with pytest.raises(PluginDependencyError, match=missing):
        load(backend="late")
    forget("late_plugin")


def test_importing_core_imports_no_engine_and_no_command_line() -> None:
    source = (
        "import sys, autocog_core; names = 'torch transformers typer rich llama_cpp openai';"
        "print([n for n in names.split() if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_an_unknown_option_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"options\.sead") as caught:
        load(backend="random", options={"sead": 1})
    assert 'did you mean "seed"' in str(caught.value)


def test_a_backend_whose_constructor_fails_is_a_load_error_with_its_cause(
    put: Install, tmp_path: Path
) -> None:
    source = GOOD + "        def __init__(self, **created):\n            raise OSError('no disk')\n"
    points = {"autocog": {"late": "late_plugin:GoodLM"}}
    install(tmp_path, "autocog-late", points, {"late_plugin": source})
    with pytest.raises(ModelLoadError, match="OSError: no disk") as caught:
        load(backend="late")
    assert isinstance(caught.value.__cause__, OSError)
    forget("late_plugin")
