"""Random JSON Schemas with everything that records support."""

from __future__ import annotations

import random
from typing import Any

KEYS = ("kind", "a", "ab", "b", "odd key", 'qu"ote', "été")
FORMATS = ("date", "time", "date-time", "uuid", "email", "ipv4", "ipv6", "hostname", "duration")
PATTERNS = ("^[A-Z]{2}-\\d{2}$", "^a+", "b$", "[^x]y", "^(?:on|off)$", '^"\\\\?\\w$', "^.{1,3}$")
CONSTANTS = ("a", "ab", "", "b c", 'q"', 1, 10, -2.5, True, False, None, [1, "x"], {"k": 1})


class SchemaGenerator:
    """Draws schemas.

    :param seed: seed of the random numbers.
    :param has_formats: whether strings have formats.
    """

    def __init__(self, seed: int, *, has_formats: bool = True) -> None:
        self.formats = FORMATS if has_formats else ()
        self.random = random.Random(seed)
        self.definitions: dict[str, Any] = {}

    def whole(self) -> dict[str, Any]:
        """Return a schema of any kind, with its definitions."""
        if self.random.random() < 0.3:
            self.definitions["Shared"] = self.draw(1)
        schema = self.object(0) if self.random.random() < 0.7 else self.draw(0)
        return {**schema, "$defs": self.definitions}

    def draw(self, depth: int) -> dict[str, Any]:
        kinds = [self.string, self.string, self.number, self.number, self.constants, self.simple]
        if depth < 3:
            kinds += [self.object, self.object, self.array, self.array, self.union, self.objects]
        if depth < 2 and self.definitions:
            kinds.append(self.reference)
        if depth and self.random.random() < 0.1:
            kinds.append(self.document)
        return self.random.choice(kinds)(depth + 1)

    def simple(self, depth: int) -> dict[str, Any]:
        return {"type": self.random.choice(["boolean", "null", ["boolean", "null"]])}

    def string(self, depth: int) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string"}
        match self.random.randrange(4):
            case 0:
                shortest = self.random.randrange(3)
                schema |= {"minLength": shortest, "maxLength": shortest + self.random.randrange(4)}
            case 1:
                schema |= {"pattern": self.random.choice(PATTERNS)}
                if self.random.random() < 0.3:
                    schema |= {"maxLength": 6}
            case 2 if self.formats:
                schema |= {"format": self.random.choice(self.formats)}
        return schema

    def number(self, depth: int) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": self.random.choice(["integer", "number"])}
        low = self.random.choice([-300, -7, 0, 3])
        if self.random.random() < 0.6:
            schema[self.random.choice(["minimum", "exclusiveMinimum"])] = low
        if self.random.random() < 0.6:
            # Wide enough for a multiple of each number below.
            bound = low + self.random.choice([9, 40, 900])
            schema[self.random.choice(["maximum", "exclusiveMaximum"])] = bound
        if schema["type"] == "integer" and self.random.random() < 0.2:
            schema["multipleOf"] = self.random.choice([1, 2, 5])
        return schema

    def constants(self, depth: int) -> dict[str, Any]:
        if self.random.random() < 0.3:
            return {"const": self.random.choice(CONSTANTS)}
        return {"enum": self.random.sample(CONSTANTS, self.random.randint(1, 5))}

    def object(self, depth: int) -> dict[str, Any]:
        names = sorted(self.random.sample(KEYS, self.random.randint(0, 4)), key=KEYS.index)
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {name: self.draw(depth) for name in names},
            "required": [name for name in names if self.random.random() < 0.5],
        }
        if self.random.random() < 0.3:
            schema["additionalProperties"] = False
        return schema

    def array(self, depth: int) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "array", "items": self.draw(depth)}
        least = self.random.choice([0, 0, 0, 1, 2])
        if least:
            schema["minItems"] = least
        if self.random.random() < 0.6:
            schema["maxItems"] = least + self.random.randrange(3)
        if self.random.random() < 0.2:
            schema["prefixItems"] = [self.draw(depth), self.draw(depth)]
        return schema

    def union(self, depth: int) -> dict[str, Any]:
        return {"anyOf": [self.draw(depth) for _ in range(self.random.randint(1, 3))]}

    def objects(self, depth: int) -> dict[str, Any]:
        """Draw objects that a constant distinguishes."""
        alternatives = []
        for constant in self.random.sample(["cat", "cats", "dog"], 2):
            schema = self.object(depth)
            others = {name: each for name, each in schema["properties"].items() if name != "kind"}
            schema["properties"] = {"kind": {"const": constant}, **others}
            schema["required"] = [*{*schema["required"], "kind"}]
            schema["required"].sort()
            alternatives.append(schema)
        return {self.random.choice(["oneOf", "anyOf"]): alternatives}

    def reference(self, depth: int) -> dict[str, Any]:
        return {"$ref": "#/$defs/Shared"}

    def document(self, depth: int) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": "integer"}}
