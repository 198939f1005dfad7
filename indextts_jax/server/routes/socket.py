"""`WS /v1/audio/speech/stream`: text comes piece by piece, and is spoken sentence by sentence.

Messages to the server: `session.config` first (the fields of a speech request), then `input.text`
with `text`, `input.done`, `input.cancel`, `session.close`. From the server: `audio.start`, binary
messages, `audio.words` if they are requested, `audio.done` for each sentence, `session.done` after
`input.done`, `audio.cancelled`, `error`.
"""

import asyncio
import dataclasses
import json
import re
from typing import Any

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect, WebSocketState

from indextts_jax.audio.encoders import Encoder
from indextts_jax.server.answers import encoded
from indextts_jax.server.fields import Delivery
from indextts_jax.server.gate import chosen_protocol
from indextts_jax.server.problems import ApiError, api_error, validation
from indextts_jax.server.routes.common import caller, state_of
from indextts_jax.server.speaking import Speaking, ignored_fields, order_of

router = APIRouter()
SHORTEST = 12  # characters of a sentence: a shorter one may be an abbreviation, and waits for more
WAITING = 256  # sentences that are not spoken yet, at most
_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|[。！？]+[”’」』）]*|\n+")
NORMAL, TOO_BIG, GOING_AWAY = 1000, 1009, 1001  # codes that close a WebSocket


class Sentences:
    """Cuts text that comes in pieces at the ends of sentences."""

    def __init__(self, most: int):
        self.text, self._most = "", most

    def add(self, piece: str) -> list[str]:
        """The sentences that are complete now.

        Raises:
            ApiError: if too much text has come without an end.
        """
        self.text += piece
        found, start = [], 0
        for match in _END.finditer(self.text):
            if len(self.text[start : match.end()].strip()) >= SHORTEST:
                found.append(self.text[start : match.end()].strip())
                start = match.end()
        self.text = self.text[start:]
        if len(self.text) > self._most:
            self.text = ""
            raise ApiError(400, f"more than {self._most:,} characters without an end", "text")
        return found

    def rest(self) -> list[str]:
        """What is left, at the end of a text."""
        rest, self.text = self.text.strip(), ""
        return [rest] if rest else []


class Session:
    """One connection."""

    def __init__(self, socket: WebSocket):
        self.socket, self.state = socket, state_of(socket)
        self.fields: Delivery | None = None
        self.sentences = Sentences(self.state.options.text_characters)
        self.todo: asyncio.Queue[str | None] = asyncio.Queue()  # None ends an utterance
        self.speaking: Speaking | None = None
        self.cancelled = 0  # times that the client has cancelled
        self.utterance = self.spoken = 0

    async def run(self) -> None:
        """Reads and speaks until one side ends it."""
        tasks = {asyncio.ensure_future(self._read()), asyncio.ensure_future(self._speak())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (WebSocketDisconnect, RuntimeError):  # gone, perhaps while something was sent
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self.speaking is not None:
                self.speaking.cancel()
            if self.socket.application_state is WebSocketState.CONNECTED:
                await self.socket.close(NORMAL)

    async def _read(self) -> None:
        idle = self.state.options.socket_idle
        while True:
            try:
                message = await asyncio.wait_for(self.socket.receive(), idle)
            except TimeoutError:
                if self.speaking is not None or not self.todo.empty():
                    continue  # it waits for its sound
                await self._error(ApiError(408, f"no message within {idle:g} s"))
                return
            if message["type"] == "websocket.disconnect":
                return
            try:
                if not await self._take(message):
                    return
            except ApiError as error:
                await self._error(error)
                if self.fields is None:
                    return

    async def _take(self, message: Any) -> bool:
        """Acts on a message; false if it ends the session.

        Raises:
            ApiError: for a message that cannot be understood.
        """
        data = self._parsed(message)
        kind = data.pop("type", None)
        if kind == "session.close":
            return False
        if kind == "session.config":
            if self.speaking is not None or self.sentences.text or not self.todo.empty():
                raise ApiError(400, "session.config comes between utterances: input.done first")
            try:
                fields = Delivery.model_validate(data)
            except ValidationError as error:
                raise validation(error.errors()) from error
            ignored_fields(self.state, fields)
            self.state.check_model(fields.model)
            self.fields = fields
            return True
        if self.fields is None:
            raise ApiError(400, f"expected session.config first, got {kind!r:.60}")
        if kind == "input.text":
            text = data.get("text")
            if not isinstance(text, str):
                raise ApiError(400, "input.text needs text, a string", "text")
            if self.todo.qsize() >= WAITING:
                raise ApiError(429, f"{WAITING} sentences are waiting, the most allowed")
            for sentence in self.sentences.add(text):
                await self.todo.put(sentence)
        elif kind == "input.done":
            for sentence in self.sentences.rest():
                await self.todo.put(sentence)
            await self.todo.put(None)
        elif kind == "input.cancel":
            await self._cancel()
        else:
            raise ApiError(400, f"unknown type of message: {kind!r:.60}", "type")
        return True

    def _parsed(self, message: Any) -> dict[str, Any]:
        text = message.get("text")
        if text is None:
            raise ApiError(400, "messages are text: JSON objects with a type")
        if len(text.encode("utf-8", "replace")) > (most := self.state.options.message_bytes):
            raise ApiError(413, f"a message is larger than {most:,} bytes")
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, f"a message is not JSON: {error!s:.100}") from error
        if not isinstance(data, dict):
            raise ApiError(400, "messages are JSON objects with a type")
        return data

    async def _cancel(self) -> None:
        """Drops what is waiting, and what is being spoken."""
        self.sentences.rest()
        while not self.todo.empty():
            self.todo.get_nowait()
        self.cancelled += 1
        if self.speaking is not None:
            self.speaking.cancel()
            self.speaking.stop()
        await self.socket.send_json({"type": "audio.cancelled", "utterance_index": self.utterance})
        self.utterance, self.spoken = self.utterance + 1, 0

    async def _speak(self) -> None:
        while True:
            sentence = await self.todo.get()
            if sentence is None:
                await self.socket.send_json(
                    {
                        "type": "session.done",
                        "utterance_index": self.utterance,
                        "total_sentences": self.spoken,
                    }
                )
                self.utterance, self.spoken = self.utterance + 1, 0
                continue
            before = self.cancelled
            try:
                await self._say(sentence)
            except WebSocketDisconnect:
                raise
            except Exception as error:
                if self.cancelled == before:
                    await self._error(api_error(error))
            finally:
                if self.speaking is not None:
                    self.speaking.cancel()
                self.speaking = None

    async def _say(self, sentence: str) -> None:
        """Speaks one sentence."""
        fields, before = self.fields, self.cancelled
        assert fields is not None
        place = {"utterance_index": self.utterance, "sentence_index": self.spoken}
        self.spoken += 1
        order = await order_of(self.state, fields, sentence)
        began = asyncio.get_running_loop().time()
        self.speaking = speaking = Speaking(self.state, order, began)
        await speaking.begin(caller(self.socket))
        if self.cancelled != before:  # while it was prepared
            return
        encoder = Encoder(fields.response_format, self.state.tts.sample_rate, order.rate)
        sounds = speaking.sounds()
        first = await anext(sounds)
        start: dict[str, Any] = {"sentence_text": sentence, "format": fields.response_format}
        start |= {"sample_rate": order.rate, "channels": 1, "seed": order.request.seed}
        await self.socket.send_json({"type": "audio.start", **place, **start})
        async for data, sound in encoded(encoder, first, sounds):
            if data:
                await self.socket.send_bytes(data)
            if sound is None:
                continue
            speaking.sent(sound)
            if sound.words is not None:
                words = [dataclasses.asdict(word) for word in sound.words]
                await self.socket.send_json({"type": "audio.words", **place, "words": words})
        await self.socket.send_json({"type": "audio.done", **place, "usage": speaking.usage()})

    async def _error(self, error: ApiError) -> None:
        await self.socket.send_json({"type": "error", "message": str(error), "error": error.error})


@router.websocket("/v1/audio/speech/stream")
async def stream(socket: WebSocket) -> None:
    """A session; see the module."""
    state = state_of(socket)
    headers = {name.lower(): value for name, value in socket.headers.items()}
    await socket.accept(chosen_protocol(headers))
    try:
        state.check_ready()
    except ApiError as error:
        await socket.send_json({"type": "error", "message": str(error), "error": error.error})
        await socket.close(GOING_AWAY)
        return
    await Session(socket).run()
