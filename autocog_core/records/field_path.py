"""Paths of fields in a record: items[0].price."""

from __future__ import annotations

import json
import re

_PLAIN_KEY = re.compile(r"[^\W\d][\w-]*")


def join_path(path: str, key: str) -> str:
    """Return the path of an entry of an object.

    :param path: the path of the object; "" for the record itself.
    :param key: the key; one that is not a plain word stands in brackets.
    """
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key
