"""`create` takes the validated options as one object, or by name; `load` calls it as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_core import BackendOptions, ConfigError, PluginBrokenError, UsageError, load
from autocog_core.backends.random import RandomLM, RandomOptions
from autocog_core.config.plugins import load_class
from autocog_core.model.create_call import call_create, takes_options_object
from tests.support.small_backends import forget, install

PLUGIN = """
from autocog_core.backends.random import RandomLM, RandomOptions

class ByObject(RandomLM):
    Options = RandomOptions

    @classmethod
    def create(cls, options: RandomOptions):
        return {"seed": options.seed, "vocabulary": options.vocabulary}

class ByName(RandomLM):
    @classmethod
    def create(cls, **options):
        return super().create(**options)

class Nothing(RandomLM):
    @classmethod
    def create(cls, options):
        return options
"""


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    points = {"object": "made:ByObject", "name": "made:ByName", "nothing": "made:Nothing"}
    points = {name: target.replace("made", "create_plugin") for name, target in points.items()}
    install(tmp_path, "autocog-create", {"autocog": points}, {"create_plugin": PLUGIN})
    monkeypatch.syspath_prepend(str(tmp_path))
    forget("create_plugin")
    yield
    forget("create_plugin")


def test_both_forms_load_the_same_model() -> None:
    expected = RandomLM(seed=3, vocabulary="merges").choose("x", ["a", "b"])
    for backend in ("object", "name", "random"):
        with load(backend=backend, options={"seed": 3, "vocabulary": "merges"}) as model:
            assert model.choose("x", ["a", "b"]) == expected


def test_a_create_of_an_object_also_takes_names() -> None:
    by_object = load_class("object")
    assert by_object.create(seed=3) == by_object.create(RandomOptions(seed=3))
    assert takes_options_object(by_object)
    with pytest.raises(ConfigError, match='did you mean "seed"'):
        by_object.create(sead=3)


def test_wrong_options_are_refused_before_create() -> None:
    for backend in ("object", "name"):
        with pytest.raises(ConfigError, match='unknown key; did you mean "seed"'):
            load(backend=backend, options={"sead": 3})


def test_a_create_that_returns_no_arguments_is_an_error_of_the_plugin() -> None:
    with pytest.raises(PluginBrokenError, match="returned RandomOptions, not a dict") as caught:
        load(backend="nothing")
    assert caught.value.where == "Nothing.create"


class WithOptionsOption(RandomLM):
    class Options(BackendOptions):
        options: str = ""

    @classmethod
    def create(cls, options: str = "") -> dict[str, Any]:
        return {"seed": len(options)}


def test_an_option_of_the_name_options_stays_an_option() -> None:
    assert not takes_options_object(WithOptionsOption)
    valid = WithOptionsOption.Options(options="abc")
    assert call_create(WithOptionsOption, valid, {"options": "abc"}) == {"seed": 3}


def test_the_base_class_takes_both_forms_and_no_mixture() -> None:
    by_name = RandomLM.create(seed=3)
    assert RandomLM.create(RandomOptions(seed=3)) == by_name
    for arguments, options in (((RandomOptions(),), {"seed": 3}), ((BackendOptions(),), {})):
        with pytest.raises(UsageError, match=r"RandomLM\.create"):
            RandomLM.create(*arguments, **options)
