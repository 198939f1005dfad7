"""Runs a server until a signal: warm-up in the background, and an end that lets streams finish."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn

from indextts_jax.errors import InputError
from indextts_jax.server.app import create_app
from indextts_jax.server.state import ServerState

WarmUp = Callable[[Callable[[str], None]], None]  # called with what notes the progress
HEADER_BYTES = 64 * 2**10
STEP = 0.05  # seconds between looks at what is left


class Server(uvicorn.Server):
    """Ends in two steps: no new work, then, when streams are finished or time is up, the process.

    uvicorn itself closes its sockets at once, so that nobody can be answered with 503.
    """

    def __init__(self, config: uvicorn.Config, state: ServerState):
        super().__init__(config)
        self.state = state

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles signals as `Server` says; afterwards one ends the process at once.

        Unless it was a signal that ended the server: then handlers are restored.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def end(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.begin_to_end)

        def reread(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.reread_keys)

        handlers: dict[int, Any] = {signal.SIGINT: end, signal.SIGTERM: end}
        if hasattr(signal, "SIGHUP") and self.state.keys is not None:
            handlers[signal.SIGHUP] = reread
        before = {number: signal.signal(number, made) for number, made in handlers.items()}
        try:
            yield
        finally:
            for number, former in before.items():
                signal.signal(number, self._exit if self.state.draining else former)

    def _exit(self, number: int, frame: FrameType | None) -> None:
        os._exit(0 if self.state.engine.failed is None else 1)

    def begin_to_end(self) -> None:
        """Takes no new work; a second call ends at once."""
        if self.state.draining:
            self.should_exit = self.force_exit = True
            return
        self.state.draining = True
        self.state.log.write(event="ending", drain=self.state.options.drain)
        self._ending = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.state.options.drain
        while loop.time() < until and not (self.state.engine.idle and not self.state.reserved):
            if self.state.engine.failed is not None:
                break
            await asyncio.sleep(STEP)
        # What is still running gets an error; then connections close.
        await asyncio.to_thread(self.state.engine.close)
        self.should_exit = True

    def reread_keys(self) -> None:
        assert self.state.keys is not None
        try:
            self.state.keys.reread()
            self.state.log.write(event="keys", path=str(self.state.keys.path))
        except InputError as error:
            self.state.log.write(event="keys", error=str(error))


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections; port 0 takes a free one.

    Raises:
        InputError: for an address that cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise InputError(
            f"cannot listen on {host} port {port}: {error.strerror or error}", "host", "port"
        ) from error


def serve(state: ServerState, listening: socket.socket, warm_up: WarmUp) -> int:
    """Serves until a signal; returns the exit code: 0, or 1 if the engine or the warm-up failed.

    Requests are taken after `warm_up`, which runs on the engine's thread. After a signal the
    process is expected to end: in the main thread further signals are ignored then.
    """
    options = state.options
    config = uvicorn.Config(
        create_app(state),
        http="h11",
        h11_max_incomplete_event_size=HEADER_BYTES,
        ws_max_size=max(options.message_bytes, 2**10),
        ws_ping_interval=20.0,
        log_config=None,
        log_level="critical",  # our own log has a line for each request
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=65,
        lifespan="off",
    )
    server = Server(config, state)
    failed: list[BaseException] = []

    def progress(what: str) -> None:
        state.progress = what

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def on_death(error: BaseException) -> None:
            loop.call_soon_threadsafe(died, error)

        state.engine.on_death = on_death
        state.engine.start()
        ready = asyncio.ensure_future(warm())
        try:
            await server.serve(sockets=[listening])
        finally:
            ready.cancel()
            await asyncio.to_thread(state.engine.close)

    def died(error: BaseException) -> None:
        failed.append(error)
        state.log.write(event="engine failed", error=f"{type(error).__name__}: {error}")
        server.begin_to_end()

    async def warm() -> None:
        try:
            await asyncio.wrap_future(state.engine.call(lambda: warm_up(progress)))
        except Exception as error:
            if not state.draining:
                died(error)
            return
        state.ready = True
        state.log.write(event="ready")

    asyncio.run(main())
    if state.draining and threading.current_thread() is threading.main_thread():
        # The interpreter takes a while to end, in which a second signal must not change its code.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    return 1 if failed or not server.started else 0
