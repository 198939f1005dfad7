"""The page for browsers: `/` is its document, `/page/NAME` are its files, in `static/`.

It uses nothing but the API, and loads nothing from elsewhere. All addresses in its files are
relative, so that it also works behind a path prefix.
"""

import hashlib
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

FILES = Path(__file__).parent / "static"
DOCUMENT = "index.html"
# Not asked from the system: on some, its table calls JavaScript plain text, which no browser runs.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
HEADERS = {
    # Nothing from elsewhere, nothing inline, and no other site may frame the page.
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",  # validated each time, sent only if changed
}


def add(app: FastAPI) -> None:
    """Serves the page."""
    app.router.routes.extend(page_routes())


def page_routes() -> list[BaseRoute]:
    """The routes of the page; its files are read once, here.

    A request names one of the files that were read: no name from outside becomes a path.
    """
    files = {
        path.relative_to(FILES).as_posix(): path.read_bytes()
        for path in FILES.rglob("*")
        if path.suffix in TYPES
    }
    tags = {name: f'"{hashlib.sha256(data).hexdigest()[:32]}"' for name, data in files.items()}

    def answer(request: Request, name: str) -> Response:
        if name not in files:
            return Response(f"the page has no file {name!r:.80}", 404, media_type="text/plain")
        headers = {**HEADERS, "etag": tags[name]}
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(files[name], headers=headers, media_type=TYPES[Path(name).suffix])

    async def document(request: Request) -> Response:
        return answer(request, DOCUMENT)

    async def file(request: Request) -> Response:
        return answer(request, request.path_params["name"])

    return [
        Route("/", document, name="page", include_in_schema=False),
        Route("/page/{name:path}", file, name="page_file", include_in_schema=False),
    ]
