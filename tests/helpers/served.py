"""A server whose networks are replaced by a tone: everything else of it is real."""

import argparse
import asyncio
import contextlib
import io
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax import IndexTTS, Settings, Voice
from indextts_jax.config import bundled_config
from indextts_jax.engine import delivery
from indextts_jax.engine.delivery import QueuedSegment
from indextts_jax.engine.live.engine import LiveEngine
from indextts_jax.runtime.model import Model
from indextts_jax.server.access import Keys
from indextts_jax.server.app import create_app
from indextts_jax.server.options import ServerOptions
from indextts_jax.server.request_log import RequestLog
from indextts_jax.server.run import Server, listen, serve
from indextts_jax.server.state import ServerState
from indextts_jax.text.tokenizer import Tokenizer

CODES = 40  # of every segment: 68 frames, 0.79 s
SECONDS = 68 * 256 / 22050


class ToneDecoder:
    """Slots that need `steps` calls for every segment."""

    def __init__(self, engine: "ToneEngine", size: int):
        self.engine, self.held = engine, cast(list[QueuedSegment | None], [None] * size)
        self.left = [0] * size
        self.stepped = 1
        self.finished = 0

    def fill(self, most: int) -> None:
        for place, one in enumerate(self.held):
            if one is None and most and (coming := self.engine._take()) is not None:
                self.held[place], self.left[place], most = coming, self.engine.steps, most - 1

    def step(self, most: int) -> list[tuple[QueuedSegment, np.ndarray, bool]]:
        time.sleep(self.engine.pace)
        found = []
        for place, one in enumerate(self.held):
            if one is None:
                continue
            self.left[place] -= 1
            if self.left[place] <= 0 and self.finished < self.engine.most_finished:
                self.finished += 1
                self.held[place] = None
                found.append((one, np.arange(self.engine.codes), False))
        return found

    def drop(self, places: Sequence[int]) -> None:
        for place in places:
            self.held[place] = None


class ToneEngine(LiveEngine):
    """The engine, with those slots."""

    steps, pace, codes = 1, 0.0, CODES
    most_finished = sys.maxsize  # later segments stay in their slots until their job is cancelled

    def _slots(self) -> Any:
        if self._decoder is None:
            self._decoder = cast(Any, ToneDecoder(self, self.settings.batch))
        return self._decoder


def tones(model: Any, requests: Any, group: Any, *_: Any) -> list[tuple[np.ndarray, None]]:
    """What `delivery.sounds_of` gives: of each segment, a tone as long as its frames."""
    sizes = [256 * one.frames if len(one.codes) else 0 for one in group]
    return [(0.25 * np.sin(np.arange(size) / 20).astype(np.float32), None) for size in sizes]


def blank_voice(frames: int = 5) -> Voice:
    nothing = jnp.zeros((1, 80))
    mel = jnp.zeros((1, frames, 80))  # of whatever sizes
    return Voice(mel, nothing, nothing, nothing, mel, mel, frames, mel, frames)


def tone_state(
    monkeypatch: pytest.MonkeyPatch, keys: Keys | None = None, **options: Any
) -> ServerState:
    """The state of a server that takes requests; its engine is not started."""
    monkeypatch.setattr(delivery, "sounds_of", tones)
    tokenizer = Tokenizer(support.CHECKPOINTS / "bpe.model")
    tts = IndexTTS(Model(bundled_config("tiny"), {"gpt": {"none": jnp.zeros(1)}}, tokenizer))
    settings = Settings(batch=4)
    engine = ToneEngine(tts.model, settings)
    state = ServerState.of(
        ServerOptions(**options),
        tts,
        settings,
        engine,
        {"anna": blank_voice(), "bob": blank_voice(7)},
        keys,
        RequestLog(io.StringIO()),
    )
    state.ready = True
    return state


def log_lines(state: ServerState) -> list[dict[str, Any]]:
    return [json.loads(line) for line in cast(Any, state.log._stream).getvalue().splitlines()]


@contextlib.contextmanager
def running(state: ServerState) -> Iterator[str]:
    """The server on a real socket, in a thread; gives its address."""
    listening = listen("127.0.0.1", 0)
    state.ready = False
    thread = threading.Thread(target=serve, args=(state, listening, lambda progress: None))
    made: list[Server] = []
    real = Server.__init__

    def noted(self: Server, *given: Any) -> None:
        real(self, *given)
        made.append(self)

    Server.__init__ = noted  # type: ignore[method-assign]
    try:
        thread.start()
        until = time.monotonic() + 60
        while not state.ready and time.monotonic() < until:
            time.sleep(0.01)
        assert state.ready
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        Server.__init__ = real  # type: ignore[method-assign]
        state.options = ServerOptions(drain=0.0)
        for one in made:
            one.should_exit = True
        thread.join(60)
        listening.close()
    assert not thread.is_alive()


class Exchange:
    """One request to an application without a socket: what it sends, and a client that may go."""

    def __init__(self, state: ServerState, method: str, path: str, body: bytes, **headers: str):
        self.app = create_app(state)
        pairs = {"host": "test", "content-type": "application/json", **headers}
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in pairs.items()],
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
        }
        self.incoming = [body]
        self.gone = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.hold: asyncio.Event | None = None  # a client that does not read until it is set

    async def receive(self) -> dict[str, Any]:
        if self.incoming:
            body = self.incoming.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self.incoming)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.hold is not None and message["type"] == "http.response.body":
            await self.hold.wait()
        self.sent.append(dict(message))

    async def run(self) -> None:
        await self.app(self.scope, self.receive, self.send)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(one["body"] for one in self.sent[1:])

    @property
    def complete(self) -> bool:
        return bool(self.sent) and not self.sent[-1].get("more_body", True)


def exchange(
    state: ServerState, method: str, path: str, body: Any = None, **headers: str
) -> Exchange:
    """Runs a whole request; `body` is bytes, or what becomes JSON."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()

    async def go() -> Exchange:
        one = Exchange(state, method, path, data, **headers)
        await one.run()
        return one

    return asyncio.run(go())


class Patches:
    """Sets attributes for the rest of a process, as pytest's fixture does for a test."""

    def setattr(self, target: Any, name: str, value: Any) -> None:
        setattr(target, name, value)


def main(words: Sequence[str]) -> int:
    """A server in this process; for tests of signals."""
    parser = argparse.ArgumentParser()
    for name in ("pace", "steps", "drain"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    given = parser.parse_args(words)
    state = tone_state(cast(Any, Patches()), drain=given.drain)
    engine: Any = state.engine
    engine.pace, engine.steps = given.pace, int(given.steps)
    state.ready = False
    with listen("127.0.0.1", 0) as listening:
        print(f"Listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        return serve(state, listening, lambda progress: None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
