"""A damaged config file: one clear error, or models that work or say what is wrong."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from autocog_core import AutocogError, ConfigError, load, read_config
from autocog_core.config.config_file import Config
from tests.support.mutations import mutate
from tests.support.trials import Trials, tried

CONFIG = """\
# A model a line, nearly.
default_model = "first"

[models.first]
backend = "random"
options = { seed = 3, scale = 2.5, context_length = 200 }
completion = { max_tokens = 3, stop = ["\\n"], temperature = 0.5, seed = 1 }
retry = { retries = 2, delta = 0.01, growth = 1.5 }

[models.second]
backend = "table"
engine = "shared"
[models.second.options.rows]
"It is" = { " " = 0.8, "!" = 0.1, "<|eos|>" = 0.06 }

[models.third]
engine = "shared"
wrappers = ["trace", { name = "cache", options = { path = "kept.sqlite", max_size_gb = 0.01 } }]

[models.fourth]
backend = "random"
[[models.fourth.wrappers]]
name = "record"
options = { path = 'recorded.jsonl' }
"""
#: Values of TOML for every place.
VALUES = [
    *('""', "0", "-1", "3", "1e300", "inf", "nan", "true", "[]", "{}", '"random"', '"table"'),
    *('"replay"', '"shared"', '"first"', "1979-05-27", "[[[]]]", '["trace"]', '"env:NOT_SET"'),
    *("999999999999999999999", '"\\u0000"', '"\\u001b[31m"', '"package:pytest"', "0x10", '"$HOME"'),
]
WORDS = re.findall(r"[a-z_]+", CONFIG)


def change(text: str, drawn: random.Random) -> str:
    """Return TOML with values or keys exchanged, or lines moved."""
    for _ in range(drawn.choice([1, 1, 2, 3])):
        match drawn.randrange(3):
            case 0:
                values = list(re.finditer(r'"[^"\n]*"|[0-9.]+|\[[^\[\]\n]*\]', text))
                found = drawn.choice(values)
                text = text[: found.start()] + drawn.choice(VALUES) + text[found.end() :]
            case 1:
                found = drawn.choice(list(re.finditer(r"[a-z_]+", text)))
                text = text[: found.start()] + drawn.choice(WORDS) + text[found.end() :]
            case 2:
                lines = text.splitlines(keepends=True)
                lines.insert(drawn.randrange(len(lines)), lines.pop(drawn.randrange(len(lines))))
                text = "".join(lines)
    return text


def read(path: Path) -> Config | ConfigError:
    try:
        return read_config(path)
    except ConfigError as error:
        return error


def works(name: str, path: Path) -> bool:
    try:
        with load(name, config=path) as model:
            scores = model.choose("It is", [" a", " b"])
            assert scores.exact
            assert abs(sum(score.prob for score in scores.scores) - 1) < 1e-6
            model.complete("It is", max_tokens=2)
    except AutocogError:
        return False
    return True


def outcome(path: Path) -> str:
    config = read(path)
    if isinstance(config, ConfigError):
        assert str(path) in str(config)
        assert len(str(config)) < 5_000
        return "refused"
    failed = [name for name in config.models if not works(name, path)]
    return "read, and an error of a model" if failed else "all models work"


@tried(
    "`autocog.toml`, mutated, and its models used if it can be read",
    expect="one clear error, or models that work",
    normal=12,
    soak=1500,
)
def test_mutated_config_files(
    trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `trace` writes into the current folder.
    monkeypatch.chdir(tmp_path)
    for seed in trials:
        drawn = random.Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        path = folder / "autocog.toml"
        content = CONFIG if drawn.random() < 0.3 else change(CONFIG, drawn)
        damaged = content.encode()
        if content == CONFIG or drawn.random() < 0.2:
            damaged = mutate(damaged, drawn)
        path.write_bytes(damaged)
        try:
            trials.note(outcome(path))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {damaged!r}") from error


def test_the_undamaged_file_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "autocog.toml"
    path.write_text(CONFIG)
    assert outcome(path) == "all models work"
