"""What every request passes: id, origin, key, size and time of its body; metrics and the log.

Plain ASGI: a middleware that wraps requests would hide from streams that a client has gone.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException

from indextts_jax.server.access import PROTOCOL, key_of
from indextts_jax.server.problems import ApiError
from indextts_jax.server.state import ServerState

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

OPEN = ("/health", "/ready")  # paths that need no key
PAGES = ("/v1/", "/metrics", "/openapi.json")  # beginnings of paths that do
POLICY_VIOLATION = 1008  # the code that closes a WebSocket


class Gate:
    """Wraps the application."""

    def __init__(self, app: App, state: ServerState):
        self.app, self.state = app, state

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        notes: dict[str, Any] = {"id": f"req_{secrets.token_hex(12)}", "path": scope["path"]}
        scope.setdefault("state", {})["notes"] = notes
        scope["state"]["began"] = time.monotonic()
        scope["state"]["owner"] = (scope.get("client") or ("",))[0]
        sent = _Sent(send, notes["id"])
        try:
            self._admit(scope, headers)
        except ApiError as error:
            await self._refuse(scope, error, receive, sent)
        else:
            body = _Body(receive, self.state.options.body_bytes, self.state.options.body_seconds)
            given = body if scope["type"] == "http" else receive
            try:
                await self.app(scope, given, sent)
            except Exception as error:
                notes.setdefault("error", f"{type(error).__name__}: {error}")
                if sent.complete:
                    return  # the handler of exceptions has answered
                if scope["type"] != "http" or not sent.status:
                    raise
                # The answer has begun: leaving with an error ends the connection, so that a client
                # never takes a part for the whole.
                notes["aborted"] = True
                raise Aborted from error
        finally:
            self.state.note_request(scope, sent.status, notes)

    def _admit(self, scope: MutableMapping[str, Any], headers: dict[str, str]) -> None:
        """Checks origin, key and announced size.

        Raises:
            ApiError: if one of them is refused.
        """
        options, path = self.state.options, scope["path"]
        if (origin := headers.get("origin")) is not None:
            known = urlsplit(origin).netloc == headers.get("host")
            if not known and origin not in options.cors_origins:
                raise ApiError(403, f"pages of {origin:.100} may not use this server")
        asks = scope.get("method") == "OPTIONS"  # whether a page may call; without a key
        closed = path not in OPEN and path.startswith(PAGES) and not asks
        if self.state.keys is not None and closed:
            name = self.state.keys.owner(key_of(headers))
            scope["state"]["owner"] = scope["state"]["notes"]["key"] = name
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > options.body_bytes:
            raise too_large(options.body_bytes)

    async def _refuse(
        self, scope: MutableMapping[str, Any], error: ApiError, receive: Receive, sent: "_Sent"
    ) -> None:
        if scope["type"] == "websocket":
            await receive()
            await sent({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": str(error)})
            sent.status = error.status
            return
        error.headers.setdefault("connection", "close")  # the body is not read
        await error.response()(scope, receive, sent)


class Aborted(Exception):
    """Raised to end the connection of an answer that cannot be completed."""


class _Sent:
    """Adds the headers of every answer, and notes its status."""

    def __init__(self, send: Send, request_id: str):
        self._send, self._id, self.status, self.complete = send, request_id, 0, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [
                *message.get("headers", []),
                (b"x-request-id", self._id.encode()),
                (b"x-content-type-options", b"nosniff"),
            ]
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self._send(message)
        if message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)


class _Body:
    """The messages of a request; its body is counted as it comes, and must come in time."""

    def __init__(self, receive: Receive, most: int, seconds: float):
        self._receive, self._most, self._left = receive, most, most
        self._until: float | None = None
        self._seconds, self._whole = seconds, False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        now = time.monotonic()
        self._until = self._until or now + self._seconds
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._until - now))
        except TimeoutError:
            raise HTTPException(
                408,
                f"the body did not come within {self._seconds:g} s",
                headers={"connection": "close"},
            ) from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            error = too_large(self._most)
            raise HTTPException(413, str(error), headers={"connection": "close"})
        self._whole = not message.get("more_body", False)
        return message


def too_large(most: int) -> ApiError:
    return ApiError(413, f"the body is larger than {most:,} bytes", code="too_large")


def chosen_protocol(headers: dict[str, str]) -> str | None:
    """The protocol to accept a WebSocket with, if it was opened with a key as protocol."""
    offered = [one.strip() for one in headers.get("sec-websocket-protocol", "").split(",")]
    plain = [one for one in offered if one and not one.startswith(PROTOCOL)]
    return plain[0] if plain else None
