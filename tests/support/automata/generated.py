"""Hypothesis strategies for automata and their models."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from hypothesis import strategies as st

from autocog_core import EOS, Automaton, Choose, Complete, Model, Text
from autocog_core.automaton import Action, Regex, Strings, Tokens, Vocabulary
from autocog_core.backends.random import RandomLM
from autocog_core.backends.table import TableLM
from autocog_core.types.choice import NORMS
from autocog_core.types.prompt import Prompt, TextPiece
from tests.support.automata.small_model import SmallModel

Draw = Callable[[st.SearchStrategy[Any]], Any]

often = st.sampled_from([True, True, True, False])
seldom = st.sampled_from([False, False, False, True])


@dataclass(frozen=True)
class World:
    """Texts and token sets for one kind of vocabulary.

    :ivar parts: texts are made of these. `stops`: what may end a completion.
    :ivar seams: ends of texts, and beginnings of choices that are one token with them.
    :ivar sets: what a completion may be made of. `free`: how often it may be of any token.
    :ivar mark: a special token that ends nothing.
    """

    parts: tuple[str, ...]
    stops: tuple[str, ...]
    seams: tuple[tuple[str, str], ...]
    sets: tuple[Vocabulary, ...]
    free: st.SearchStrategy[bool]
    mark: str


SMALL = World(
    parts=("a", "b", "ab", " ", ".", "\n", "1", "0", "é", "é."),
    stops=(".", "b", "a", "ab", ".\n", "0", "é", "éa", "ba", " "),
    seams=(("a", "b"), (" ", "a"), (" ", "é"), ("é", "b"), (".", "\n"), ("1", "0")),
    sets=(
        Regex("[ab]+"),
        Strings(("a", "b", "ab", "1")) | Regex("[01]*"),
        ~Regex(r".*[.\n].*"),
        Tokens(("é", "a b")) | Strings((".", "10")),
        Regex("[ab ]+") - Strings(("b",)),
        ~Strings(("a", "ab")) & Regex("[ab01.]+"),
    ),
    free=st.booleans(),
    mark="<|mark|>",
)
LARGE = World(
    parts=("a", "b", " ", ".", "1", "10", "0", "é", "日", "Paris", "the", " the", "\n", ":"),
    stops=(".", "b", "ab", ".\n", "10", "é", "Paris", "a"),
    seams=((" ", "Paris"), (" ", "the"), ("a", "b"), (":", " "), (".", "\n"), ("1", "0")),
    sets=(
        Regex("[ab]+"),
        Regex("[ab. ]+"),
        Tokens(("é", "ab")),
        Strings(("a", "b", "1", "0", " ", ".")) | Tokens((" Paris",)),
        Tokens(("日é",)) | Regex("[.a]"),
        Regex("[a-c .]+") & ~Strings(("c",)),
    ),
    free=seldom,
    mark="<|end|>",
)


@dataclass(frozen=True)
class Case:
    """An automaton and two models, as printable data."""

    kind: str
    options: Mapping[str, Any]
    actions: tuple[Action, ...]
    vocabs: Mapping[str, Vocabulary]

    @property
    def automaton(self) -> Automaton:
        return Automaton(self.actions, self.vocabs)

    def models(self) -> dict[str | None, Model]:
        """Return the main model, and one with another tokenizer."""
        options = dict(self.options)
        if self.kind == "small":
            other = {**options, "bos": not options["bos"], "seed": -1}
            return {None: Model(SmallModel(**options)), "other": Model(SmallModel(**other))}
        vocabulary = "bytes" if options["vocabulary"] == "merges" else "merges"
        second = Model(RandomLM(vocabulary=vocabulary, seed=1))
        if self.kind == "random":
            return {None: Model(RandomLM(**options)), "other": second}
        rows = table_rows(options.pop("seed"), options["vocabulary"], self.actions[0])
        return {None: Model(TableLM(rows=rows, **options)), "other": second}


def table_rows(seed: int, vocabulary: str, first: Action) -> dict[str, dict[str, float]]:
    """Rows after the first action's text and up to three more letters: sixteenths, many alike.

    Half of the rows leave nothing for all other tokens.
    """
    generator = random.Random(seed)
    begin = first.text if isinstance(first, Text) and isinstance(first.text, str) else ""
    names = ["a", "b", ".", " ", "1", "<|eos|>"]
    if vocabulary == "merges":
        names += ["ab", "10"]
    rows = {}
    for letters in (letters for n in range(4) for letters in product("ab.1", repeat=n)):
        drawn = generator.choices(names, k=generator.choice([15, 16]))
        rows[begin + "".join(letters)] = {name: drawn.count(name) / 16 for name in drawn}
    return rows


@st.composite
def cases(draw: Draw, kind: str, vocabulary: str = "") -> Case:
    """A case on the model `kind`: "small", "random" or "table"."""
    world = SMALL if kind == "small" else LARGE
    options: dict[str, Any] = {"seed": draw(st.integers(0, 2**16)), "bos": draw(often)}
    if kind == "small":
        options["scale"] = draw(st.sampled_from([1.0, 2.0, 4.0, 0.0]))
        options["ends"] = draw(st.sampled_from([1, 2]))
    else:
        options["vocabulary"] = vocabulary
    vocabs = {"named": draw(st.sampled_from(world.sets))}
    drawn = draw(graphs(world, options["bos"]))
    if not options["bos"]:
        drawn = tuple(map(_with_constant_tail, drawn))
    return Case(kind, options, drawn, vocabs)


def _with_constant_tail(action: Action) -> Action:
    """Let more choices rank by pmi without a prompt, and some texts have a shorter tail."""
    match action:
        case Choose(norm="sum" | "mean" | "pmi") if action.uid != "n1":
            return replace(action, norm="pmi", unconditional_prompt=None)
        case Text(text=str(text)) if len(text) > 1:
            return replace(action, constant_tail=text[len(text) // 2 :])
    return action


@st.composite
def graphs(draw: Draw, world: World, bos: bool) -> tuple[Action, ...]:
    """Draw a chain of actions with branches, jumps and loops."""
    count = draw(st.integers(2, 6))
    first = draw(texts(world, 0) if not bos or draw(often) else actions(world, 0))
    if not bos and draw(often):
        # Where nothing begins a sequence, nothing tells how likely its first token is.
        first = replace(first, evaluate=False)
    drawn = [first, *(draw(actions(world, number)) for number in range(1, count))]
    for number in range(1, count):
        if draw(often):
            drawn[number - 1 : number + 1] = draw(joints(world, *drawn[number - 1 : number + 1]))
    bounded = set()
    for number, each in enumerate(drawn):
        targets = [number + 1] if number + 1 < count else []
        if draw(seldom):
            targets = [draw(st.integers(0, count - 1))]
        if isinstance(each, Choose) and draw(st.booleans()):
            near = st.integers(max(0, number - 2), count - 1)
            targets = [draw(near) for _ in each.choices]
        # Every cycle goes back somewhere.
        bounded |= {target for target in targets if target <= number}
        drawn[number] = replace(each, successors=tuple(f"n{target}" for target in targets))
    several = draw(st.booleans())
    for number, each in enumerate(drawn):
        if number in bounded or draw(seldom):
            each = replace(each, max_visits=draw(st.integers(1, 3)))
        if several and not isinstance(each, Text) and draw(st.booleans()):
            each = replace(each, model="other")
        drawn[number] = each
    return reachable(drawn)


@st.composite
def joints(draw: Draw, world: World, first: Action, second: Action) -> list[Action]:
    """Draw a text and a choice that share a token; return other actions unchanged."""
    if isinstance(first, Text) and isinstance(first.text, str) and isinstance(second, Choose):
        before, begin = draw(st.sampled_from(world.seams))
        found = tuple(f"{begin}{choice}" for choice in second.choices)
        end = draw(st.sampled_from(world.stops)) if draw(st.booleans()) else second.suffix
        return [
            replace(first, text=first.text + before),
            replace(second, choices=found, suffix=end),
        ]
    return [first, second]


def reachable(drawn: list[Action]) -> tuple[Action, ...]:
    """Return the reachable actions; others would be an error."""
    found = {"n0"}
    for _ in drawn:
        found |= {uid for each in drawn if each.uid in found for uid in each.successors}
    return tuple(each for each in drawn if each.uid in found)


def actions(world: World, number: int) -> st.SearchStrategy[Action]:
    return st.one_of(texts(world, number), choices(world, number), completions(world, number))


def joined(world: World, most: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(world.parts), min_size=1, max_size=most).map("".join)


@st.composite
def texts(draw: Draw, world: World, number: int) -> Text:
    text: str | Prompt = draw(joined(world, 4))
    if number and draw(seldom):
        trusted = TextPiece(f"{world.mark}a", trusted=True)
        text = Prompt((TextPiece(draw(joined(world, 2))), trusted))
    elif number and draw(seldom):
        text = ""
    return Text(uid=f"n{number}", text=text, evaluate=draw(st.booleans()))


pruning = st.fixed_dictionaries(
    {
        "width": st.sampled_from([1, 2, 3, None]),
        "threshold": st.sampled_from([0.0, 0.0, 0.1, 0.3]),
        "threshold_on": st.sampled_from(["prob", "mean"]),
    }
)


@st.composite
def choices(draw: Draw, world: World, number: int) -> Choose:
    found = draw(st.lists(joined(world, 3), min_size=1, max_size=4, unique=True))
    if draw(st.booleans()):
        found = list(dict.fromkeys([*found, found[0] + draw(st.sampled_from(world.parts))]))
    norm = draw(st.sampled_from(("sum", *NORMS)))
    return Choose(
        uid=f"n{number}",
        choices=tuple(found),
        norm=norm,
        suffix=draw(st.sampled_from([None, None, EOS, *world.stops])),
        # BOS alone would do, where there is one.
        unconditional_prompt=draw(joined(world, 2)) if norm == "pmi" else None,
        name=f"field{number % 2}" if draw(seldom) else None,
        **draw(pruning),
    )


@st.composite
def completions(draw: Draw, world: World, number: int) -> Complete:
    return Complete(
        uid=f"n{number}",
        length=draw(st.sampled_from([1, 2, 3, 4, 5, 6])),
        stop=tuple(draw(st.lists(st.sampled_from(world.stops), max_size=3, unique=True))),
        beams=draw(st.sampled_from([1, 2, 2, 3, 4])),
        length_penalty=draw(st.sampled_from([1.0, 1.0, 0.0, 0.5, -0.7, 2.0])),
        vocab=None if draw(world.free) else draw(st.sampled_from(["named", *world.sets])),
        eos=draw(often),
        **draw(pruning),
    )
