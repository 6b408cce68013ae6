from __future__ import annotations

import pickle

import pytest

import autocog_core
from autocog_core import AutocogError, EngineError, InputError, UsageError
from autocog_core.errors import did_you_mean


def test_the_message_says_where_what_and_what_to_do() -> None:
    error = InputError("is empty", where="choice 3", hint="give it some text")
    assert str(error) == "choice 3: is empty; give it some text"
    assert str(InputError("is empty")) == "is empty"


def test_errors_survive_a_trip_to_another_process() -> None:
    error = EngineError("busy", where="m", hint="wait", retryable=True)
    error.attempts = 2
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is EngineError
    assert vars(back) == vars(error)
    assert str(back) == str(error)


def test_every_error_is_the_callers_to_mend_or_an_engines_failure() -> None:
    public = [getattr(autocog_core, name) for name in autocog_core.__all__]
    errors = [e for e in public if isinstance(e, type) and issubclass(e, AutocogError)]
    assert len(errors) > 15
    for error in errors:
        if error is not AutocogError:
            assert issubclass(error, UsageError) != issubclass(error, EngineError)
            assert error.exit_code == (2 if issubclass(error, UsageError) else 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("rnadom", 'did you mean "random"?'), ("zzz", "valid names: random, table")],
)
def test_a_wrong_name_gets_the_nearest_valid_one_or_the_list(name: str, expected: str) -> None:
    assert did_you_mean(name, ["table", "random"]) == expected


def test_without_any_valid_name_there_is_no_hint() -> None:
    assert did_you_mean("x", []) == ""
