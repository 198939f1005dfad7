"""What all routes share."""

from typing import Any

from fastapi import Request, WebSocket
from pydantic import BaseModel

from indextts_jax.server.state import ServerState


class ErrorFields(BaseModel):
    """The value of `error`."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorFields


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody}
    for status in (400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 500, 503)
}


def state_of(request: Request | WebSocket) -> ServerState:
    """The state of the server that a request came to."""
    state: ServerState = request.app.state.server
    return state


def caller(request: Request | WebSocket) -> str:
    """Whom a request counts for: the name of its key, or its address."""
    owner: str = request.scope["state"]["owner"]
    return owner
