"""`/docs` without the internet: Swagger UI's files come from a package, not from another host."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from api.permissions import Action, allow

_FILES = "/docs/files"


def add_docs(app: FastAPI) -> None:
    """Serve the OpenAPI page at `/docs`. The application itself must have none: `docs_url=None`."""

    async def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title} API",
            swagger_js_url=f"{root}{_FILES}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_FILES}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_FILES}/favicon.png",
        )

    app.mount(_FILES, StaticFiles(packages=[("fastapi_offline", "static")]))
    app.add_api_route("/docs", docs, include_in_schema=False, dependencies=[allow(Action.ENTER)])
