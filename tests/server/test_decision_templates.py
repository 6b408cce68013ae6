"""Templates of questions: their texts, their version, and errors of wrong ones at the start."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from autocog_core.config.server_config import ServerConfig
from autocog_core.errors import ConfigError
from autocog_core.server.decisions.question import Option, Question
from autocog_core.server.decisions.template import DecisionTemplate
from tests.support.served import app_in_process, small_models
from tests.support.small_backends import random_model

BODY = {"state": "It is", "questions": {"q": {"type": "choice", "criteria": {"a": "x", "b": None}}}}


@contextmanager
def served_with(sources: Mapping[str, str]) -> Iterator[TestClient]:
    """Yield a client of a server with templates; the first model with one is the default."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, f"{name}.jinja") for name in sources}
        for name, path in paths.items():
            path.write_text(sources[name], encoding="utf-8")
        models = {name: small_models()[name] for name in [*sources, *small_models()]}
        with app_in_process(models, ServerConfig(templates=paths)) as client:
            yield client


def test_a_template_of_a_model_makes_its_texts_and_has_its_own_version() -> None:
    options = "{% for option in options %}/{{ option.name }}{% endfor %}"
    source = "{{ state }}|{{ kind }}" + options + "={{ answer }}."
    with served_with({"random": source}) as client:
        answer = client.post("/v1/systemone", json=BODY).json()
    with random_model(seed=3) as model:
        scores = model.choose("It is|choice/a/b=", ["a.", "b."])

    probs = list(answer["answers"]["q"]["probabilities"].values())
    assert probs == [score.prob for score in scores.scores]
    assert answer["x_template"] == DecisionTemplate(source, "file").version
    assert answer["x_template"] != DecisionTemplate.default().version


def test_a_line_break_at_the_end_of_the_file_belongs_to_no_answer() -> None:
    question = Question("q", "choice", "", (Option("a"), Option("b")))
    plain, unix, windows = (
        DecisionTemplate("{{ state }}:{{ answer }}" + end, "file") for end in ("", "\n", "\r\n")
    )

    assert plain.text_of(question, "text").answers == ("a", "b")
    assert plain.text_of(question, "text") == unix.text_of(question, "text")
    assert plain.version == unix.version == windows.version


def test_what_a_question_says_is_no_template_and_imitates_no_mark() -> None:
    template = DecisionTemplate.default()
    text = "{{ answer }} {% if %} \ue000state\ue001"
    question = Question("q", "choice", text, (Option(text, text), Option("b")))

    rendered = template.text_of(question, "text")

    assert rendered.question.startswith(f"\n\n{text}\n")
    assert rendered.answers == (f'{text}"', 'b"')


WRONG = {
    "": "{{ state }} must be inserted once",
    "{{ state }} {{ answer": "unexpected",
    "{{ state }} {{ answr }}": 'unknown name "answr"; did you mean "answer"',
    "{{ state }} {{ fields.x }} {{ answer }}": "there are no fields",
    "{{ state }}": "{{ answer }} must be inserted once",
    "{{ state }}{{ answer }}": "no text between",
    "{{ state }} {{ state }} {{ answer }}": "{{ state }} must be inserted once",
    "{{ state | upper }} {{ answer }}": "without filters",
    "{{ state }} {{ answer | upper }}": "as it is, or with | tojson",
    "{{ answer }} {{ state }}": "must come first",
    "{{ state }} {{ answer }} {{ turn }}": "must come first",
    "{{ state }} {% if kind == 'score' %}{{ answer }}{% endif %}": "for every kind",
    "{{ state }} {{ answer }} {{ options[5].name }}": "no entry",
    "{{ state }} {{ answer.__class__ }}": "no",
    "{% include 'file' %}{{ state }} {{ answer }}": "not allowed",
}


@pytest.mark.parametrize("source", WRONG)
def test_a_wrong_template_is_refused_with_its_place(source: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DecisionTemplate(source, "my.jinja")

    assert WRONG[source] in str(caught.value)
    assert "my.jinja" in str(caught.value)


def test_a_server_with_a_wrong_template_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "bad.jinja").write_text("{{ state }}")
    (tmp_path / "latin.jinja").write_bytes(b"{{ state }}\xe9{{ answer }}")
    for paths, message in (
        ({"random": tmp_path / "bad.jinja"}, "{{ answer }}"),
        ({"random": tmp_path / "latin.jinja"}, "UTF-8"),
        ({"random": tmp_path / "none.jinja"}, "cannot be read"),
        ({"rando": tmp_path / "bad.jinja"}, 'did you mean "random"'),
    ):
        with (
            pytest.raises(ConfigError) as caught,
            app_in_process(config=ServerConfig(templates=paths)),
        ):
            pass
        assert message in str(caught.value)
