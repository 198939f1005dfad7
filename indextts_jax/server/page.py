"""The page for browsers at `/`: static files of this package, if they are there.

Everything that the page does goes through the API; it loads nothing from elsewhere.
"""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

FILES = Path(__file__).parent / "static"
POLICY = (
    "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class PageFiles(StaticFiles):
    """Static files that may load only what this server has."""

    def file_response(self, *args: Any, **more: Any) -> Response:
        answer = super().file_response(*args, **more)
        answer.headers["content-security-policy"] = POLICY
        answer.headers["referrer-policy"] = "no-referrer"
        return answer


def add(app: FastAPI, files: Path = FILES) -> None:
    """Serves the page below all other addresses; without files there is none."""
    if (files / "index.html").is_file():
        app.mount("/", PageFiles(directory=files, html=True), name="page")
