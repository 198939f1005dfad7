"""Answers that carry sound, as bytes or as events. The first sound decides the status."""

import asyncio
import base64
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from indextts_jax.audio.encoders import Encoder
from indextts_jax.engine.streaming.chunks import Sound
from indextts_jax.server.problems import api_error
from indextts_jax.server.speaking import Speaking


class SpeechAnswer(Response):
    """Waits for the first sound, then sends.

    What fails before it is answered with its status. What fails later ends the stream of events
    with an error, or the connection, so that a client never takes a part for the whole. A client
    that goes away ends the work.
    """

    def __init__(self, speaking: Speaking, name: str, *, events: bool):
        super().__init__()
        self.speaking, self.name, self.events = speaking, name, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        speaking = self.speaking
        sending = asyncio.ensure_future(self._send(scope, receive, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending  # raises what it failed with
        finally:
            speaking.cancel()
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            scope["state"]["notes"].update(speaking.notes())

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        speaking = self.speaking
        encoder = Encoder(self.name, speaking.state.tts.sample_rate, speaking.order.rate)
        sounds = speaking.sounds()
        try:
            first = await anext(sounds)
        except Exception as error:
            scope["state"]["notes"]["error"] = f"{type(error).__name__}: {error}"
            await api_error(error).response()(scope, receive, send)
            return
        kind = "text/event-stream" if self.events else encoder.media_type
        headers = {"content-type": kind, **speaking.headers()}
        headers["x-indextts-streamed"] = str(int(encoder.streams))
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": pairs})

        async def body(data: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": more})

        try:
            async for data, sound in encoded(encoder, first, sounds):
                if data:
                    await body(_delta(data) if self.events else data)
                if sound is None:
                    continue
                speaking.sent(sound)
                if sound.words is not None:  # of its segment, with the last sound of it
                    words = [dataclasses.asdict(word) for word in sound.words]
                    await body(_event({"type": "speech.audio.words", "words": words}))
        except Exception as error:
            scope["state"]["notes"].update(error=f"{type(error).__name__}: {error}", aborted=True)
            if not self.events:
                raise
            data = _event({"type": "speech.audio.error", "error": api_error(error).error})
            await body(data, more=False)
            return
        end = b""
        if self.events:
            end = _event({"type": "speech.audio.done", "usage": speaking.usage()})
        await body(end, more=False)


async def encoded(
    encoder: Encoder, first: Sound, sounds: AsyncIterator[Sound]
) -> AsyncIterator[tuple[bytes, Sound | None]]:
    """The bytes of each sound, and those at the end."""
    yield await _bytes(encoder, first), first
    async for sound in sounds:
        yield await _bytes(encoder, sound), sound
    yield await asyncio.to_thread(encoder.finish), None


async def _bytes(encoder: Encoder, sound: Sound) -> bytes:
    if encoder.media_type in ("audio/pcm", "audio/wav"):  # quick
        return encoder.encode(sound.samples)
    return await asyncio.to_thread(encoder.encode, sound.samples)


async def _left(receive: Receive) -> None:
    """Waits until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _delta(data: bytes) -> bytes:
    return _event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode("ascii")})


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
