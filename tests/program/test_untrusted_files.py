"""Untrusted programs: templates reach no Python objects, and time and memory are limited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, Each, InputError, Template
from autocog_core.automaton.templates import work_limit
from tests.support.soak import SOAK, count

VALUES: dict[str, Any] = {
    "s": "text",
    "n": 3,
    "l": ["a", "b"],
    "d": {"a": 1},
    "evil": {"__class__": "data", "_x": "data", "mro": "data"},
}

#: Known escapes from Jinja's sandbox, and other attempts.
ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ()['__class__'] }}",
    "{{ s['__class__'] }}",
    "{{ s['__cla' ~ 'ss__'] }}",
    "{{ s['__cla' + 'ss__'] }}",
    "{{ s['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ s|attr('__class__') }}",
    "{{ s|attr('\\x5f_class__') }}",
    "{{ l|map(attribute='__class__')|list }}",
    "{{ l|map(attribute='__class__')|join }}",
    "{{ l|map('attr', '__class__')|join }}",
    "{{ l|map(attribute='upper.__self__')|join }}",
    "{{ l|selectattr('__class__')|join }}",
    "{{ l|rejectattr('__class__.__mro__')|first }}",
    "{{ l|sort(attribute='__class__')|join }}",
    "{{ l|unique(attribute='__class__')|join }}",
    "{{ l|max(attribute='__class__') }}",
    "{{ l|groupby('__class__') }}",
    "{{ l|sum(attribute='__class__') }}",
    "{{ '{0.__class__}'.format(s) }}",
    "{{ '{0.__class__}'.format_map({'0': s}) }}",
    "{{ ('{0.__class__}'|string).format(s) }}",
    "{% set f = '{0.__class__}'.format %}{{ f(s) }}",
    "{{ ['{0.__class__}']|map('format', s)|join }}",
    "{{ '%s'|format(s.upper) }}",
    "{{ '{0.__class__}'['format'](s) }}",
    "{{ s.join.__self__ }}",
    "{{ s.upper.__func__ }}",
    "{{ s.upper.__globals__ }}",
    "{{ s.upper ~ '' }}",
    "{{ s.upper|string }}",
    "{{ [s.upper]|string }}",
    "{{ [s.upper]|join }}",
    "{{ s.upper|tojson }}",
    "{{ s.upper|upper }}",
    "{{ {s.upper: 1}|string }}",
    "{{ d.items ~ '' }}",
    "{{ l.append('x') }}",
    "{{ l.pop() }}",
    "{{ l.sort() }}",
    "{{ d.update({'a': 2}) }}",
    "{{ d.pop('a') }}",
    "{{ d.clear() }}",
    "{{ d.setdefault('b', 2) }}",
    "{{ d.__setitem__('a', 2) }}",
    "{{ self }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ self|string }}",
    "{{ loop }}",
    "{{ context }}",
    "{{ environment }}",
    "{{ request.application.__globals__ }}",
    "{{ config.items() }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner.__init__.__globals__.os }}",
    "{{ namespace.__init__.__globals__.os }}",
    "{{ namespace(a=1) }}",
    "{{ range(3)|join }}",
    "{{ dict(a=1)|string }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ url_for.__globals__ }}",
    "{{ caller() }}",
    "{{ super() }}",
    "{{ varargs }}",
    "{{ kwargs }}",
    "{{ _work_limit }}",
    "{{ _work_limit._work_left }}",
    "{{ _steps }}",
    "{{ s|_loop }}",
    "{{ s|_slice(0) }}",
    "{{ l|map('_loop')|first|string }}",
    "{{ undefined.__class__ }}",
    "{{ missing.__init__.__globals__ }}",
    "{{ (missing|default(s)).__class__ }}",
    "{{ s is callable.__class__ }}",
    "{{ l|random }}",
    "{{ l|pprint }}",
    "{{ s|xmlattr }}",
    "{{ s|safe.__class__ }}",
    "{{ s|urlize }}",
    "{{ l|batch(2) }}",
    "{{ l|slice(2) }}",
    "{{ 10**10**10 }}",
    "{{ (1).__class__ }}",
    "{{ 1.0.real }}",
    "{{ n.to_bytes(1, 'big') }}",
    "{{ n.bit_length() }}",
    "{{ s.encode() }}",
    "{{ s.translate({}) }}",
    "{{ s.center(9) }}",
    "{{ s.zfill(9) }}",
    "{{ s.ljust(9) }}",
    "{{ s.expandtabs(9) }}",
    "{{ s.join(l) }}",
    "{{ s.replace('t', 'x') }}",
    "{{ s.split.__call__() }}",
    "{{ (s.split)() if false else s.encode }}",
    "{% import 'os' as os %}",
    "{% from 'x' import y %}",
    "{% include '/etc/passwd' %}",
    "{% extends 'x' %}",
    "{% macro m() %}{% endmacro %}{{ m() }}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "{% call m() %}{% endcall %}",
    "{% block b %}{% endblock %}{{ self.b }}",
    "{% block b %}{% endblock %}",
    "{% set x = 1 %}{{ x }}",
    "{% set x %}{% endset %}",
    "{% filter upper %}x{% endfilter %}",
    "{% with x = 1 %}{% endwith %}",
    "{% autoescape true %}{{ s }}{% endautoescape %}",
    "{% do l.append(1) %}",
    "{% debug %}",
    "{% trans %}{% endtrans %}",
    "{% for x in l recursive %}{{ loop(l) }}{% endfor %}",
    "{% for x in l %}{{ loop.__class__ }}{% endfor %}",
    "{% for x in l %}{{ loop._iterable }}{% endfor %}",
    "{% for x in l %}{{ loop['__class__'] }}{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in l %}{{ loop.changed(x) }}{% endfor %}",
    "{% for x in l %}{{ loop ~ '' }}{% endfor %}",
    "{% for x in l %}{{ loop|string }}{% endfor %}",
    "{% for x in l %}{{ [loop]|join }}{% endfor %}",
    "{% for _x in l %}{% endfor %}",
    "{% for a in l %}{% for b in l %}{% for c in l %}{% for e in l %}{% endfor %}{% endfor %}"
    "{% endfor %}{% endfor %}",
    "{{ l|map('upper') ~ '' }}",
    "{{ l|map('upper')|string }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_templates_reach_no_python_objects(source: str) -> None:
    """The template is rejected, or gives text that shows no Python object."""
    before = json.dumps(VALUES)
    try:
        output = Template(source).text(VALUES)
    except InputError as error:
        output = str(error)
        assert "template" in output
    for trace in (
        "<class",
        "<built-in",
        "<bound",
        "<function",
        " object at 0x",
        "<Template",
        "uid=",
    ):
        assert trace not in output
    assert json.dumps(VALUES) == before


def test_private_names_of_entries_are_allowed() -> None:
    """An entry is not an attribute, also if its name looks private."""
    assert Template("{{ evil['__class__'] }}{{ evil.mro }}").text(VALUES) == "datadata"


@pytest.mark.parametrize("source", ESCAPES)
def test_lists_of_choices_reach_no_python_objects(source: str) -> None:
    expression = source.removeprefix("{{ ").removesuffix(" }}")
    for each in (
        Each(expression),
        Each("[" + expression + "]"),
        Each("l", source),
        Each("l", value=source),
    ):
        try:
            choices = each.render(VALUES)
            output = "".join(f"{''.join(texts)}{value}" for texts, value in choices)
        except InputError:
            continue
        assert "<" not in output.replace("<|", "")


# -- limits of templates


BIG = {"s": "x" * 1_000_000, "w": "日" * 300_000, "l": ["y" * 1000] * 1000, "n": list(range(2000))}
BOMBS = [
    "{% for a in n %}{% for b in n %}{% for c in n %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in n %}{% for b in n %}{{ s|upper|length }}{% endfor %}{% endfor %}",
    "{% for a in n %}{% for b in n %}{{ s == s ~ 'x' }}{% endfor %}{% endfor %}",
    "{% for a in n %}{% for b in n %}{{ 'z' in s }}{{ 'zx' in s }}{% endfor %}{% endfor %}",
    "{% for a in n %}{{ s }}{% endfor %}",
    "{% for a in n %}{{ s[1:]|length }}{% endfor %}",
    "{{ s|join(s) }}",
    *("{{ [" + "s," * 3000 + "]|" + name + "|length }}" for name in ("upper", "sort", "trim")),
    *("{{ [" + "s," * 3000 + "]|" + name + "|length }}" for name in ("replace('x', '')", "max")),
    "{{ [" + "s," * 3000 + "] is lower }}",
    "{{ [" + "s," * 3000 + "]|select('lower')|list|length }}",
    "{{ s|replace('', s) }}",
    "{{ s|replace('x', s) }}",
    "{{ l|join(s) }}",
    "{{ l|map('join', s)|list|length }}",
    "{{ l|map('replace', 'y', s)|map('length')|list }}",
    "{{ l|map('truncate', 5, true, s)|list|length }}",
    "{{ [l, l, l, l, l, l, l, l, l, l, l]|string }}",
    "{{ [l, l, l, l, l, l, l, l, l, l, l]|tojson }}",
    "{{ l ~ l ~ l ~ l ~ l ~ l ~ l ~ l ~ l ~ l ~ l }}",
    "{{ [" + "s|upper," * 400 + "]|length }}",
    "{{ [" + "s[1:]," * 400 + "]|length }}",
    "{{ [" + "s ~ 'x'," * 400 + "]|length }}",
    "{{ [" + "s + 'x'," * 400 + "]|length }}",
    "{{ [" + "s.strip('y')," * 400 + "]|length }}",
    "{{ [" + "s.split('x')," * 40 + "]|length }}",
    "{{ [" + "s|list," * 40 + "]|length }}",
    "{{ " + "~".join(["s"] * 3000) + " }}",
    "{{ w|list|map('upper')|list|map('lower')|list|join|length }}" * 5,
    "{{ s * 1000000000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ [0] * 1000000000 }}",
    "{{ " + "*".join(["9" * 30] * 2000) + " }}",
    "{{ 1.5|round(1000000000) }}{{ 1.5|round(-1000000000) }}",
    "{{ s|int }}{{ ('9' * 5)|int }}",
    "{{ '9999999999999999999999999'|int(base=36) }}{{ s|int(base=36) }}",
    "{{ s|truncate(5, true, s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s) }}",
    "{{ w|wordcount }}{{ w|title|length }}" * 20,
    "{% if 1 %}" * 500 + "{% endif %}" * 500,
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "{{ " + "not " * 3000 + "1 }}",
    "{{ " + "-" * 3000 + "1 }}",
    "{{ 1" + " + 1" * 3000 + " }}",
    "{{ s" + "|upper" * 3000 + " }}",
    "{{ s" + ".a" * 3000 + " }}",
    "{{ s" + "[0]" * 3000 + " }}",
    "{{ 1" + " if 1 else 1" * 2000 + " }}",
    "{{ s }}" * 100_000,
    "{{" * 100_000,
    "{%" * 100_000,
    "{#" * 100_000,
    "{{ '" + "\\" * 100_000 + "' }}",
    "{{ " + "[" * 50_000,
]


@pytest.mark.parametrize("source", BOMBS, ids=lambda source: source[:40])
def test_templates_have_limited_time_and_size(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is rejected or rendered soon. A test below limits the memory of a child process."""
    if not SOAK:
        monkeypatch.setattr(work_limit, "MAX_SECONDS", 1.0)
    begun = time.process_time()
    try:
        output = Template(source).text(BIG)
    except InputError as error:
        output = str(error)
    # Work that is not counted takes time, too. Other processes do not count in processor time.
    assert time.process_time() - begun < 3 * work_limit.MAX_SECONDS
    assert len(output) <= 10_000_000


def test_the_choices_of_a_list_share_one_limit() -> None:
    with pytest.raises(InputError, match="more than 10000000 characters"):
        Each("n", "{{ s }}").render(BIG)


# -- limits of files, in a process with limited memory

#: Outside of soak runs, files and limits are smaller by this factor.
SMALLER = count(normal=10, soak=1)
MEMORY = count(normal=600, soak=1_500) * 2**20
SECONDS = 60 // SMALLER  # of processor time, far more than any file takes
#: Reads each file in its own process.
CHILD = """
import os, resource, sys, time
from autocog_core import Automaton, InputError
from autocog_core.automaton import binding
from autocog_core.automaton.checks import action_checks, template_checks, token_set_checks
from autocog_core.automaton.templates import sandbox, work_limit
from autocog_core.program import document

memory, seconds, smaller = map(int, sys.argv[1:4])
for module, name in (
    (work_limit, "MAX_WORK"), (binding, "MAX_CHARACTERS"), (action_checks, "MAX_TEXTS"),
    (document, "MAX_CHARACTERS"), (document, "MAX_VALUES"), (sandbox, "MAX_WORDS"),
    (token_set_checks, "MAX_PATTERN_SIZE"), (template_checks, "MAX_WORDS"),
):
    setattr(module, name, getattr(module, name) // smaller)

def read(path):
    resource.setrlimit(resource.RLIMIT_AS, (memory,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds,) * 2)
    begun = time.process_time()
    try:
        Automaton.from_file(path).bind()
        answer = "read"
    except InputError as error:
        answer = f"refused {len(str(error))} {error}"[:200]
    print(f"{time.process_time() - begun:.1f}", answer.splitlines()[0], flush=True)

# Imports of the first file happen once, and not in every process.
harmless, *paths = sys.argv[4:]
Automaton.from_file(harmless).bind()
for path in paths:
    child = os.fork()
    if not child:
        try:
            read(path)
        except BaseException as error:
            print("0 died of", repr(error)[:100], flush=True)
        finally:
            os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("0 killed", flush=True)
"""


def outcomes(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The result for each bomb: seconds, and "read" or "refused" with the length of the message."""
    paths = [folder / "harmless.yaml"]
    paths[0].write_text('actions: [{text: "{{ 1 }}"}, {length: 1, vocab: {regex: a}}]')
    for number, name in enumerate(names):
        paths.append(folder / f"{number}.yaml")
        paths[-1].write_text(BOMB_FILES[name](), encoding="utf-8")
    bounds = (MEMORY, SECONDS, SMALLER)
    command = [sys.executable, "-c", CHILD, *map(str, [*bounds, *paths])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
    return dict(zip(names, done.stdout.splitlines(), strict=True))


def laughs(kind: str) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    refs = ", ".join([kind] * 10)
    for level in range(1, 9):
        lines.append(f"a{level}: &a{level} [{refs.replace('N', str(level - 1))}]")
    return "\n".join([*lines, "actions: [{text: a}]"])


def scaled(size: int) -> int:
    return size // SMALLER


def many(line: str, count: int, head: str = "actions:\n", tail: str = "") -> str:
    return head + "".join(line.replace("N", str(n)) for n in range(count)) + tail


BOMB_FILES: dict[str, Callable[[], str]] = {
    "laughs": lambda: laughs("*aN"),
    "long text often": lambda: (
        f"a: &a {'x' * scaled(2**23)}\nactions:\n" + "- {text: *a}\n" * scaled(12_000)
    ),
    "long choice often": lambda: (
        "actions:\n- choices: [&a " + "x" * scaled(2**23) + ", *a" * scaled(100_000) + "]"
    ),
    "deep": lambda: "[" * scaled(2**20),
    "deep mappings": lambda: "{a: " * scaled(2**18),
    "deep block": lambda: "".join(" " * n + "a:\n" for n in range(scaled(3000))),
    "deep dashes": lambda: "- " * scaled(2**20),
    "questions": lambda: "? " * scaled(2**20),
    "tag directives": lambda: many("%TAG !aN! tag:x,N:\n", scaled(200_000), "", "---\na: 1"),
    "anchors": lambda: many("- &aN x\n", scaled(120_000)),
    "faulty actions": lambda: "actions: [" + "1," * scaled(120_000) + "]",
    "faulty keys": lambda: "actions:\n- {text: a, " + many("kN: 1, ", scaled(120_000), "") + "}",
    "equal choices": lambda: "actions:\n- choices: [" + "a," * scaled(120_000) + "]",
    "equal names": lambda: many("- {text: a, name: x}\n", scaled(15_000)),
    "unknown next": lambda: many("- {text: a, next: no N}\n", scaled(15_000)),
    "long unknown next": lambda: many("- {text: a, next: " + "x" * 400 + "N}\n", scaled(12_000)),
    "unknown sets": lambda: many(
        "  v N: {union: [w N]}\n", scaled(40_000), "vocabs:\n", "actions: [1]"
    ),
    "long uid": lambda: (
        f"actions:\n- uid: {'u' * scaled(2**22)}\n  choices:\n"
        + "  - {text: a, next: b}\n" * scaled(40_000)
    ),
    "chain": lambda: many("- {text: b}\n", scaled(60_000)),
    "one cycle": lambda: many(
        "- {text: a, uid: uN}\n", scaled(20_000), tail="- {text: b, next: u0}"
    ),
    "cycles": lambda: many("- choices: [{text: a, next: u0}, b]\n  uid: uN\n", scaled(15_000)),
    "sets in a row": lambda: many(
        "  vN: {complement: wN}\n  wN: {union: [v0]}\n", scaled(15_000), "vocabs:\n", "actions: [1]"
    ),
    "set doubling": lambda: many(
        "  vN: {union: [wN, wN]}\n  wN: {intersect: [{regex: a}, {regex: b}]}\n",
        scaled(12_000),
        "vocabs:\n",
        "actions:\n- {length: 1, vocab: v0}\n",
    ),
    "templates": lambda: many(
        '- {text: "{{ a }}N"}\n', scaled(60_000), "inputs: {a: text}\nactions:\n"
    ),
    "long templates": lambda: many(
        f'- {{text: "{"{{ a }}" * scaled(3000)}N"}}\n', scaled(600), "inputs: {a: text}\nactions:\n"
    ),
    "one long template": lambda: 'actions:\n- text: "' + "{{ a }}" * scaled(2**20) + '"',
    "one deep template": lambda: 'actions:\n- text: "{{ ' + "(" * scaled(2**20) + ' }}"',
    "a default that is copied": lambda: (
        f"inputs: {{a: {{default: {'x' * scaled(2**20)}}}}}\nactions:\n"
        '- text: "{{ [' + "a ~ 1," * scaled(400) + ']|length }}"'
    ),
    "folded constants": lambda: (
        'actions:\n- text: "{{ ['
        + f"'{'x' * 3000}'|join('{'y' * 3000}')," * scaled(500)
        + ']|length }}"'
    ),
    "escapes": lambda: '{"actions": [{"text": "' + r"\ud83d\ude00" * scaled(2**19) + '"}]}',
    "backslashes": lambda: '{"a": "' + "\\" * scaled(2**23),
    "quotes": lambda: "{" + '"' * (scaled(2**23) + 1),
    "numbers": lambda: "actions: [" + "9" * scaled(2**22) + "]",
    "tabs": lambda: "{" + "\t" * scaled(2**23) + "}",
    "older": lambda: many(
        '{"uid": "aN", "type": "choose", "choices": 1, "successors": ["b"]},',
        scaled(12_000),
        '{"actions": [',
        "]}",
    ),
    "older sets": lambda: (
        '{"actions": [], "vocabs": {"a": '
        + '{"kind": "complement", "operands": [' * 5000
        + "]}" * 5000
        + "}}"
    ),
}


#: Files close to the limits.
SLOW = (
    *("templates", "long templates", "quotes", "tabs", "chain", "faulty keys", "anchors"),
    *("sets in a row", "set doubling", "unknown sets", "long uid", "cycles", "equal choices"),
)


def check_outcome(outcome: str) -> None:
    seconds, answer, *message = outcome.split(" ")
    assert answer in ("read", "refused"), outcome
    assert float(seconds) < SECONDS
    assert not message or int(message[0]) < 20_000, "messages are for people"


@pytest.fixture(scope="module")
def outcome_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The result for a bomb; most of them share one process, which takes long to start."""
    known: dict[str, str] = {}

    def outcome_of(name: str) -> str:
        if name not in known:
            together = [each for each in BOMB_FILES if not SOAK or each not in SLOW]
            alone = SOAK and name in SLOW
            known.update(outcomes(tmp_path_factory.mktemp("bombs"), [name] if alone else together))
        return known[name]

    return outcome_of


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMB_FILES)
def test_files_are_read_or_rejected_in_limited_time_and_memory(
    outcome_of: Callable[[str], str], name: str
) -> None:
    check_outcome(outcome_of(name))


def test_a_terabyte_is_rejected_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("actions:\n- {text: a, name: something}\n")
    # A sparse file: no disk has that much.
    os.truncate(path, 10**12)
    with pytest.raises(InputError, match="has more than 16 MiB; move long data into the inputs"):
        Automaton.from_file(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="only where there is such a file")
def test_endless_files_are_rejected() -> None:
    with pytest.raises(InputError, match="more than 16 MiB"):
        Automaton.from_file("/dev/zero")


def test_data_has_the_limits_of_files() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    endless: dict[str, Any] = {}
    endless["more"] = [endless, endless]
    wide: Any = ["x"]
    for _ in range(30):
        wide = [wide, wide]
    for data in (deep, endless, wide):
        with pytest.raises(InputError, match="nested more than 60 levels deep"):
            Automaton.from_dict({"actions": [{"text": "a", "metadata": {"x": data}}]})
