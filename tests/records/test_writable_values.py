"""Every valid value can be written: the actions of a record read as a recognizer of texts."""

from __future__ import annotations

import json
from functools import cache

import jsonschema

from autocog_core.automaton import Choose, Complete, Text
from autocog_core.automaton.choices import texts_of
from autocog_core.constraints.language import body_grammar
from autocog_core.constraints.llguidance_calls import new_matcher
from autocog_core.constraints.tokenizers import byte_tokenizer
from autocog_core.records import CompiledRecord, Limits, compile_record
from tests.records.generated_schemas import SchemaGenerator
from tests.records.generated_values import ValueGenerator
from tests.support.soak import count


def can_write(record: CompiledRecord, text: str) -> bool:
    """Return whether a path of the record has a text, whatever its number of visits."""
    by_uid = {action.uid: action for action in record.actions}
    raw = text.encode()

    @cache
    def reaches_end(uid: str | None, position: int) -> bool:
        if uid is None:
            return position == len(raw)
        action = by_uid[uid]
        targets = action.successors or (None,)
        if isinstance(action, Complete):
            assert action.constraint is not None
            return any(reaches_end(targets[0], end) for end in ends(action, position))
        if isinstance(action, Text):
            pairs = [(str(action.text), targets[0])]
        else:
            assert isinstance(action, Choose)
            texts = [texts_of(choice)[0] for choice in action.choices]
            pairs = list(zip(texts, targets * (len(texts) // len(targets)), strict=True))
        return any(
            raw.startswith(written.encode(), position)
            and reaches_end(target, position + len(written.encode()))
            for written, target in pairs
        )

    def ends(action: Complete, position: int) -> list[int]:
        """Return where a text of the constraint may end that begins at a position."""
        assert action.constraint is not None
        matcher = new_matcher(byte_tokenizer(), body_grammar(action.constraint))
        found = [position] if matcher.is_accepting() else []
        for index in range(position, len(raw)):
            if not matcher.try_consume_tokens([raw[index]]):
                break
            if matcher.is_accepting():
                found.append(index + 1)
        return found

    return reaches_end(record.actions[0].uid, 0)


def test_every_valid_value_can_be_written() -> None:
    checked = 0
    for number in range(count(normal=25, soak=2000)):
        schema = SchemaGenerator(number, has_formats=False).whole()
        record = compile_record(schema, limits=Limits(max_items=4))
        validator = jsonschema.Draft202012Validator(schema)
        values = ValueGenerator(schema, number)
        for _ in range(count(normal=4, soak=20)):
            value = values.draw(schema)
            if validator.is_valid(value):
                text = json.dumps(value, ensure_ascii=False)
                assert can_write(record, text), (schema, text)
                checked += 1
    assert checked > 30
