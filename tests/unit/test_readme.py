"""What the README shows works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import autocog_core as autocog

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_backend_of_the_readme_works() -> None:
    code = next(block for block in blocks("python") if "ChoiceLM" in block)
    names = {"autocog": autocog, "np": np}
    exec(code, names)
    model = names["Uniform"]()  # type: ignore[operator]
    result = model.choose("x", ["a", "bc"])
    assert result.scores[1].logprob == pytest.approx(-2 * np.log(256))
    assert len(model.complete("x", max_tokens=3).tokens) == 3


def test_the_python_example_runs_on_another_backend() -> None:
    code = next(block for block in blocks("python") if "autocog.load" in block)
    code, count = re.subn(r'backend="tf", options=\{.*?\}', 'backend="random"', code)
    assert count == 1
    exec(code, {})


def test_the_config_example_is_a_config(tmp_path: Path) -> None:
    text = next(block for block in blocks("toml") if "[models." in block)
    path = tmp_path / "autocog.toml"
    path.write_text(text)
    assert autocog.read_config(path).model()[0] == tomllib.loads(text)["default_model"]
