"""Records: a type of Python or a JSON Schema as an automaton, and its paths as values again."""

from autocog_core.records.decode import DecodedField, DecodedRecord, node_prob
from autocog_core.records.place import Limits
from autocog_core.records.record import CompiledRecord, compile_record
from autocog_core.records.result import Alternative, RecordField, TypedRecord
from autocog_core.records.source import RecordSource, record_source
from autocog_core.records.styles import JsonStyle, TemplateStyle

__all__ = [
    "Alternative",
    "CompiledRecord",
    "DecodedField",
    "DecodedRecord",
    "JsonStyle",
    "Limits",
    "RecordField",
    "RecordSource",
    "TemplateStyle",
    "TypedRecord",
    "compile_record",
    "node_prob",
    "record_source",
]
