"""Random values of the schemas of `SchemaGenerator`, in the order in which records write them."""

from __future__ import annotations

import random
from typing import Any

TEXTS = (
    "",
    "a",
    "ab",
    "b",
    "aab",
    "AB-12",
    "on",
    "off",
    "xay",
    '"\\x',
    "é",
    "wy",
    "a\nb",
    "aaaaaa",
)


class ValueGenerator:
    """Draws values. Some are not valid: the caller checks them."""

    def __init__(self, schema: dict[str, Any], seed: int) -> None:
        self.random = random.Random(seed)
        self.root = schema

    def draw(self, schema: dict[str, Any]) -> Any:
        if "$ref" in schema:
            return self.draw(self.root["$defs"]["Shared"])
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self.draw(self.random.choice(schema[key]))
        kind = schema["type"]
        match self.random.choice(kind) if isinstance(kind, list) else kind:
            case "null":
                return None
            case "boolean":
                return self.random.random() < 0.5
            case "string":
                return self.random.choice(TEXTS)
            case "integer":
                return self._number(schema)
            case "number":
                number = self._number(schema) + self.random.choice([0, 0.5, -0.25, 0.001])
                return int(number) if number == int(number) else number
            case "array":
                return self._array(schema)
            case _:
                return self._object(schema)

    def _number(self, schema: dict[str, Any]) -> int:
        low = schema.get("minimum", schema.get("exclusiveMinimum", -400))
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 500))
        return self.random.randint(min(low, high), high)

    def _array(self, schema: dict[str, Any]) -> list[Any]:
        least = schema.get("minItems", 0)
        size = self.random.randint(least, min(4, schema.get("maxItems", 4)))
        first = schema.get("prefixItems", [])
        return [
            self.draw(first[index] if index < len(first) else schema["items"])
            for index in range(size)
        ]

    def _object(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "properties" not in schema:
            return {
                name: self.random.randrange(9) for name in ("x", "y")[: self.random.randrange(3)]
            }
        return {
            name: self.draw(entry)
            for name, entry in schema["properties"].items()
            if name in schema["required"] or self.random.random() < 0.5
        }
