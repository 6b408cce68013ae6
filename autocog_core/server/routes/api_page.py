"""`/docs`: a page with all routes; it needs no network and no script."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from autocog_core.server.api_page.render import render_api_page
from autocog_core.server.routes.page import CONTENT_SECURITY_POLICY

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def api_page(request: Request) -> Response:
    """Return the page."""
    text = render_api_page(request.app.openapi(), str(request.base_url).rstrip("/"))
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-cache"}
    return Response(text, media_type="text/html; charset=utf-8", headers=headers)
