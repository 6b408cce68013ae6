"""The OpenAPI document: also which routes need a key."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from autocog_core.server.middleware.authentication import is_open_path

#: The name of the way in which clients send their key.
_SCHEME = "key"


def add_openapi_document(app: FastAPI, *, needs_key: bool) -> None:
    """Let an app's OpenAPI document say which routes need a key.

    :param app: the app, with all its routes.
    :param needs_key: whether clients need a key at all.
    """
    make = app.openapi

    def openapi() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        document = make()
        if is_new and needs_key:
            _add_key(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _add_key(document: dict[str, Any]) -> None:
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes[_SCHEME] = {"type": "http", "scheme": "bearer"}
    for path, item in document["paths"].items():
        if not is_open_path(path):
            for operation in item.values():
                operation["security"] = [{_SCHEME: []}]
