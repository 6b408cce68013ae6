"""`/`: a page on which people try choices; its files are below `/page/`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from autocog_core.server.page.assets import PageFile, index_page, page_files
from autocog_core.server.request_errors import RequestError

router = APIRouter(include_in_schema=False)

#: The page loads its own files and calls its own server; it is in no frame of another page.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


@router.get("/")
async def index(request: Request) -> Response:
    """Return the page."""
    return _send(request, index_page())


@router.get("/page/{name}")
async def asset(request: Request, name: str) -> Response:
    """Return a script or a style of the page."""
    file = page_files().get(name)
    if file is None:
        raise RequestError("the page has no such file", status=404, code="not_found")
    return _send(request, file)


def _send(request: Request, file: PageFile) -> Response:
    headers = {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        # A browser asks each time whether its copy is the newest, so that an update is seen.
        "Cache-Control": "no-cache",
        "ETag": file.etag,
    }
    known = {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}
    if file.etag in known:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
