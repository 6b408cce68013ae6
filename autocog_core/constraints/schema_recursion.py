"""JSON Schemas without a finite value, because each value must contain another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from autocog_core.constraints.json_schema import follow_reference


def find_endless_reference(schema: Any) -> str:
    """Return a reference whose values never end, if the schema has no value without it; else "".

    The least fixed point: at first no reference is known to have a finite value, then those that
    have one if the references in them that are known by now have one, and so on.

    :param schema: the whole schema.
    """
    references = FiniteReferences(schema)
    if references.is_finite(schema):
        return ""
    return next(filter(references.is_endless, references.seen))


class FiniteReferences:
    """The local references of a schema that have finite values.

    :param root: the whole schema.
    :ivar seen: what the references that were asked for point to.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self.seen: dict[str, Any] = {}
        self._finite: set[str] = set()
        self.is_finite(root)
        # Each round sees or finds at least one more, or is the last.
        known = None
        while known != (known := (len(self.seen), len(self._finite))):
            for reference, target in list(self.seen.items()):
                if reference not in self._finite and self.is_finite(target):
                    self._finite.add(reference)

    def is_endless(self, reference: str) -> bool:
        """Return whether a reference in the schema has no finite value."""
        return reference in self.seen and reference not in self._finite

    def is_finite(self, schema: Any) -> bool:
        """Return whether a schema has a finite value, as far as is known.

        All of it is read, even if one part decides, so that every reference is seen.
        """
        if not isinstance(schema, Mapping):
            # Of references to elsewhere nothing is known.
            return schema is not False
        if "enum" in schema or "const" in schema:
            return True
        results = [self._is_finite_reference(schema.get("$ref"))]
        results += [self.is_finite(part) for part in _schemas(schema.get("allOf"))]
        for key in ("anyOf", "oneOf"):
            if alternatives := _schemas(schema.get(key)):
                are_finite = [self.is_finite(part) for part in alternatives]
                results.append(any(are_finite))
        types = schema.get("type")
        # Other types have finite values in any case.
        results.append(self._has_finite_object(schema) or types not in ("object", ["object"]))
        results.append(self._has_finite_array(schema) or types not in ("array", ["array"]))
        return all(results)

    def _is_finite_reference(self, reference: object) -> bool:
        if not isinstance(reference, str):
            return True
        if reference not in self.seen:
            self.seen[reference] = follow_reference(self._root, reference)
        return reference in self._finite

    def _has_finite_object(self, schema: Mapping[str, Any]) -> bool:
        required, minimum = schema.get("required", []), schema.get("minProperties", 0)
        entries, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        patterns = schema.get("patternProperties", {})
        if not all(isinstance(value, Mapping) for value in (entries, patterns)):
            return True
        if not isinstance(required, list) or not isinstance(minimum, int | float):
            return True
        are_finite = {name: self.is_finite(entry) for name, entry in entries.items()}
        others_are_finite = [self.is_finite(entry) for entry in (others, *patterns.values())]
        has_other = any(others_are_finite)
        return all(are_finite.get(name, has_other) for name in required) and (
            has_other or minimum <= sum(are_finite.values())
        )

    def _has_finite_array(self, schema: Mapping[str, Any]) -> bool:
        minimum, first = schema.get("minItems", 0), schema.get("prefixItems", [])
        if not isinstance(minimum, int | float) or not isinstance(first, list):
            return True
        are_finite = [self.is_finite(item) for item in [*first, schema.get("items", True)]]
        return all(result or index >= minimum for index, result in enumerate(are_finite))


def _schemas(value: object) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
