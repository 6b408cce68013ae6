"""Records of SmolLM2 on both engines: every number against plain forwards over the same tokens."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import Automaton, ThoughtNode, ThoughtTree
from autocog_core.automaton import Complete
from autocog_core.records.action import expand_records
from tests.support.engines import Engine, RequiredTokens
from tests.support.soak import SOAK, count

pytest.importorskip("autocog_tf")
pytest.importorskip("autocog_llamacpp")
regex = pytest.importorskip("regex")
pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "examples" / "invoices"
ROWS = count(1, 20)
FIELDS = ("seller", "category", "count", "total", "currency", "paid")
NEAR = 1e-4
#: The texts whose masks are made again, token by token of the vocabulary.
MASKED = [f"invoice.{name}" for name in (FIELDS if SOAK else ("seller",))]
#: Tokens with less are left out of masses: fewer than 50,000 of them have at most 1e-4 together.
LEAST_LOGPROB = -20.0


@pytest.fixture(
    scope="module",
    params=[pytest.param("tf", marks=pytest.mark.soak), "llamacpp"],
)
def engine(request: Any) -> Engine:
    found: Engine = request.getfixturevalue(f"{request.param}_float32")
    return found


@cache
def program() -> Automaton:
    return Automaton.from_file(FOLDER / "invoices.yaml")


def invoices() -> list[dict[str, Any]]:
    lines = (FOLDER / "invoices.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:ROWS]]


def run(engine: Engine, invoice: dict[str, Any]) -> ThoughtTree:
    return program().run(engine.model, {"text": invoice["text"]})


class PlainRows:
    """The rows after tokens by plain forwards; one serves all texts that its tokens begin with."""

    def __init__(self, engine: Engine, tree: ThoughtTree) -> None:
        self._engine, self._tree = engine, tree
        self._ids: tuple[int, ...] = ()
        self._rows = np.empty(0)

    def of(self, node: ThoughtNode) -> np.ndarray:
        """The log-probabilities of all tokens at each decided token of a node."""
        ids = (*self._tree.context_tokens(node), *node.tokens)[:-1]
        if self._ids[: len(ids)] != ids:
            self._ids, self._rows = ids, np.asarray(self._engine.rows(ids, len(ids)))
        return self._rows[len(ids) - len(node.logprobs) : len(ids)]


def test_every_number_is_that_of_plain_forwards(engine: Engine) -> None:
    actions = expand_records(program()).by_uid
    for invoice in invoices():
        tree = run(engine, invoice)
        plain = PlainRows(engine, tree)
        for node in reversed(tree.nodes):
            if not node.logprobs:
                continue
            rows = plain.of(node)
            expected = [row[token] for row, token in zip(rows, node.tokens, strict=True)]
            assert node.logprobs == pytest.approx(expected, abs=NEAR)
            action = actions[node.uid]
            if isinstance(action, Complete) and action.name in MASKED:
                allowed = list(allowed_masses(engine, action, node, rows))
                assert node.allowed[: len(allowed)] == pytest.approx(allowed, abs=NEAR)
        check_record(tree)


def allowed_masses(
    engine: Engine, action: Complete, node: ThoughtNode, rows: np.ndarray
) -> Iterator[float]:
    """The log of the mass of the tokens that may come, by partial matches of another engine."""
    source = f"(?V1)(?:{action.regex})(?:{action.followed_by})"
    # Rust writes \\x{5C} what the package `regex` writes \\U0000005C.
    source = regex.sub(r"\\x\{(\w+)\}", lambda code: rf"\U{int(code[1], 16):08X}", source)
    pattern = regex.compile(source)
    before = b""
    checked = len(rows) if SOAK else 1
    for row, token in zip(rows[:checked], node.tokens[:checked], strict=True):
        likely = np.flatnonzero(row > LEAST_LOGPROB).tolist()
        pieces = {each: engine.model.client.token_bytes(each) for each in likely}
        is_allowed = [bool(piece) and fits(pattern, before + piece) for piece in pieces.values()]
        yield math.log(np.exp(row[likely])[is_allowed].sum())
        before += engine.model.client.token_bytes(token)


def fits(pattern: Any, text: bytes) -> bool:
    """Whether a text may be the beginning of a match; its last character may be incomplete."""
    for length in range(min(4, len(text))):
        try:
            whole = text[: len(text) - length].decode("utf-8")
        except UnicodeDecodeError:
            continue
        if length and not is_beginning_of_character(text[len(text) - length :]):
            return False
        return pattern.fullmatch(whole, partial=True) is not None
    return False


def is_beginning_of_character(end: bytes) -> bool:
    """Whether more bytes can make a character of these."""
    expected = 2 if 0xC2 <= end[0] < 0xE0 else 3 if 0xE0 <= end[0] < 0xF0 else 4
    is_lead = 0xC2 <= end[0] <= 0xF4
    return is_lead and len(end) < expected and all(0x80 <= byte < 0xC0 for byte in end[1:])


def check_record(tree: ThoughtTree) -> None:
    path = tree.best()
    (end,) = (node for node in path.nodes if node.kind == "record")
    parts: dict[str, float] = {}
    for index in path.indices:
        node = tree.nodes[index]
        if node.part is None:
            continue
        siblings = [tree.nodes[each] for each in tree.children[node.parent]]
        if node.kind == "choice":
            assert math.fsum(each.prob for each in siblings) == pytest.approx(1, abs=1e-9)
        prob = node.prob
        if node.constrained_logprob is not None:
            prob = math.exp(math.fsum(node.logprobs) - math.fsum(node.allowed))
        if node.part in ("category", "currency", "paid"):
            # None of these begins another one.
            masses = [math.exp(math.fsum(each.logprobs)) for each in siblings]
            own = math.exp(math.fsum(node.logprobs))
            assert prob == pytest.approx(own / math.fsum(masses), rel=1e-6)
        parts[node.part] = parts.get(node.part, 1.0) * prob
    assert tuple(parts) == FIELDS
    assert end.prob == pytest.approx(math.prod(parts.values()))


def test_no_token_is_evaluated_twice(engine: Engine) -> None:
    for invoice in invoices()[:2]:
        engine.clear_caches()
        with engine.counted() as work, RequiredTokens(engine.model) as needed:
            tree = run(engine, invoice)
        assert work.tokens <= len(needed) * 1.02
        assert tree.stats["tokens_evaluated"] <= len(needed) * 1.02
