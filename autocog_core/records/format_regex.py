"""Regular expressions of the formats of JSON Schemas.

They accept valid values only. Where a format has unusual forms, only the usual ones are written.
"""

from __future__ import annotations

from autocog_core.constraints.json_schema import LEAP_YEAR

_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_DATE = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|{LEAP_YEAR}-02-29)"
)
_HOUR = "(?:[01][0-9]|2[0-3])"
_SIXTIETHS = "[0-5][0-9]"
#: RFC 3339: a time has seconds and an offset.
_TIME = rf"{_HOUR}:{_SIXTIETHS}:{_SIXTIETHS}(?:\.[0-9]{{1,6}})?(?:Z|[+-]{_HOUR}:{_SIXTIETHS})"
_NUMBER = "[0-9]{1,4}"
_DURATION_DATE = (
    f"(?:{_NUMBER}Y(?:{_NUMBER}M(?:{_NUMBER}D)?)?|{_NUMBER}M(?:{_NUMBER}D)?|{_NUMBER}D)"
)
_DURATION_TIME = (
    f"T(?:{_NUMBER}H(?:{_NUMBER}M(?:{_NUMBER}S)?)?|{_NUMBER}M(?:{_NUMBER}S)?|{_NUMBER}S)"
)
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}\.){{1,3}}[A-Za-z]{{2,24}}"
_LOCAL = r"[A-Za-z0-9_+-]{1,30}(?:\.[A-Za-z0-9_+-]{1,30})?"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_HEX = "[0-9a-fA-F]{1,4}"
_PATH_CHARACTER = r"[A-Za-z0-9._~!$'()*+,;=:@\x2F-]"


def _ipv6() -> str:
    """Return all forms of eight groups, of which one run of zeros may be left out."""
    forms = [f"(?:{_HEX}:){{7}}{_HEX}", f"(?:{_HEX}:){{1,7}}:"]
    forms += [f"(?:{_HEX}:){{1,{7 - after}}}(?::{_HEX}){{1,{after}}}" for after in range(1, 7)]
    forms += [f":(?:(?::{_HEX}){{1,7}}|:)"]
    return f"(?:{'|'.join(forms)})"


FORMAT_REGEXES = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": f"P(?:{_DURATION_DATE}(?:{_DURATION_TIME})?|{_DURATION_TIME}|{_NUMBER}W)",
    "uuid": "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "email": f"{_LOCAL}@{_DOMAIN}",
    "hostname": rf"(?:{_LABEL}\.){{0,3}}{_LABEL}",
    "ipv4": _IPV4,
    "ipv6": _ipv6(),
    "uri": (
        rf"(?:https?|ftp):\x2F\x2F{_DOMAIN}(?::[1-9][0-9]{{0,3}})?"
        rf"(?:\x2F{_PATH_CHARACTER}{{0,200}})?"
    ),
}
#: Formats of the specification that no expression here describes.
UNSUPPORTED_FORMATS = frozenset(
    {
        "idn-email",
        "idn-hostname",
        "iri",
        "iri-reference",
        "uri-reference",
        "uri-template",
        "json-pointer",
        "relative-json-pointer",
        "regex",
    }
)
