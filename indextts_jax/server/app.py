"""The application: routes, handlers of errors, and what wraps them."""

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from indextts_jax.errors import Failure, InputError
from indextts_jax.server import page
from indextts_jax.server.gate import Gate
from indextts_jax.server.problems import ApiError, respond
from indextts_jax.server.routes import about, socket, speech, status, voices
from indextts_jax.server.state import ServerState

EXPOSED = ("x-request-id", "x-sample-rate", "x-seed", "x-prebuffer-seconds", "x-first-audio-ms")


def create_app(state: ServerState) -> Any:
    """The ASGI application of a server."""

    app = FastAPI(
        title="indextts_jax",
        description="Speech with OpenAI's audio API.",
        version="1",
        docs_url=None,  # its pages load scripts from other sites
        redoc_url=None,
    )
    app.state.server = state
    for router in (speech.router, voices.router, status.router, about.router, socket.router):
        app.include_router(router)
    page.add(app)
    handler: Any = respond
    for kind in (ApiError, InputError, Failure, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, handler)
    made: Any = app
    if state.options.cors_origins:
        made = CORSMiddleware(
            made,
            allow_origins=list(state.options.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type"],
            allow_credentials=False,
            expose_headers=list(EXPOSED),
        )
    return Gate(made, state)
