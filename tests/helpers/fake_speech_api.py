"""The server's API with made-up sound: the same routes, headers and errors, no model.

The page's tests say with `Behaviour` how the next speech comes, and ask afterwards what came.
"""

import asyncio
import base64
import contextlib
import dataclasses
import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import uvicorn
from browser import TAP
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from indextts_jax.server.page import page_routes

RATE = 22_050
CHUNK = RATE // 4  # samples of an event


@dataclasses.dataclass
class Behaviour:
    """How speech comes; seconds."""

    seconds: float = 2.0
    first: float = 0.0  # before the first sound
    pace: float = 20.0  # seconds of sound in a second
    prebuffer: float = 0.0
    stall_after: float | None = None  # seconds of sound before a stall
    stall: float = 0.0
    break_after: float | None = None  # seconds of sound before the connection ends
    key: str | None = None
    body: int = 2**20
    ready: bool = True
    words: bool = True


@dataclasses.dataclass
class Fake:
    """A running server: its address, behaviour, and what it has seen."""

    url: str
    behaviour: Behaviour = dataclasses.field(default_factory=Behaviour)
    bodies: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    uploads: list[bytes] = dataclasses.field(default_factory=list)
    voices: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    running: int = 0  # streams
    cancelled: int = 0


def samples_of(body: dict[str, Any], seconds: float) -> np.ndarray:
    """The sound of a request, 16 bits: syllables whose pitch depends on the seed."""
    count = round(seconds * RATE)
    time_ = np.arange(count) / RATE
    pitch = 110 + body.get("seed", 0) % 120
    tone = sum(np.sin(2 * np.pi * pitch * k * time_) / k for k in (1, 2, 3, 5))
    loudness = np.abs(np.sin(2 * np.pi * 1.9 * time_)) * (0.55 + 0.45 * np.sin(0.9 * time_) ** 2)
    noise = np.random.default_rng(body.get("seed", 0)).normal(size=count) * 0.01
    return np.round((0.28 * tone * loudness + noise) * 32_000).clip(-32_768, 32_767).astype("<i2")


def error(status: int, message: str, param: str | None = None, **headers: str) -> JSONResponse:
    body = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return JSONResponse({"error": body}, status, headers)


def words_of(text: str, seconds: float) -> list[dict[str, Any]]:
    found = list(re.finditer(r"\S+", text))
    share = seconds / max(1, len(found))
    return [
        {
            "text": match[0],
            "start": round(i * share, 3),
            "end": round((i + 0.9) * share, 3),
            "char_start": match.start(),
            "char_end": match.end(),
        }
        for i, match in enumerate(found)
    ]


class Api:
    """The routes."""

    def __init__(self, fake: Fake):
        self.fake = fake

    def refused(self, request: Request) -> Response | None:
        key = self.fake.behaviour.key
        if key is not None and request.headers.get("authorization") != f"Bearer {key}":
            return error(401, "the API key is wrong", **{"www-authenticate": "Bearer"})
        return None

    async def ready(self, request: Request) -> Response:
        if self.fake.behaviour.ready:
            return JSONResponse({"ready": True})
        return error(503, "the model is not ready: 3 of 9 programs are compiled")

    async def about(self, request: Request) -> Response:
        return self.refused(request) or JSONResponse(
            {
                "model": "indextts-2",
                "release": "IndexTTS-2",
                "weights": "checkpoint",
                "licence": "bilibili Model Use License",
                "dtype": "float32",
                "device": "cpu",
                "sample_rate": RATE,
                "versions": {"indextts_jax": "0.1.0", "jax": "0.10.2"},
                "reads_emotion": False,
                "word_timestamps": self.fake.behaviour.words,
                "limits": {"characters": 20_000},
                "defaults": {
                    "temperature": 0.8,
                    "top_k": 30,
                    "top_p": 0.8,
                    "repetition_penalty": 10.0,
                    "pause": 0.2,
                },
            }
        )

    async def preview(self, request: Request) -> Response:
        if refusal := self.refused(request):
            return refusal
        text = (await request.json())["input"]
        parts = [part.strip() for part in re.findall(r"[^.!?。！？]+[.!?。！？]*", text)]
        segments = [
            {
                "text": part,
                "pieces": [],
                "ids": list(range(1 + len(part) // 3)),
                "seconds": round(len(part) / 14, 2),
                "pause": 0.2,
            }
            for part in parts
            if part
        ]
        return JSONResponse(
            {
                "normalised": text,
                "lead": 0.0,
                "segments": segments,
                "unknown": [
                    {"piece": m[0], "line": 1, "column": m.start() + 1}
                    for m in re.finditer(r"[^\x00-\x7f\u3000-\u9fff\uff00-\uffef“”’–—]", text)
                ],
                "warnings": [],
            }
        )

    async def list_voices(self, request: Request) -> Response:
        return self.refused(request) or JSONResponse({"voices": self.fake.voices})

    async def add_voice(self, request: Request) -> Response:
        if refusal := self.refused(request):
            return refusal
        limit = self.fake.behaviour.body
        if int(request.headers.get("content-length", 0)) > limit:
            return error(413, f"the body is larger than {limit:,} bytes")
        async with request.form() as form:
            name, data = str(form["name"]), await form["audio_sample"].read()
        if any(voice["id"] == name for voice in self.fake.voices):
            return error(409, f"voice {name!r} exists: delete it first", "name")
        if data[:4] not in (b"RIFF", b"fLaC", b"OggS"):
            return error(400, "audio_sample cannot be read: Format not recognised", "audio_sample")
        self.fake.uploads.append(data)
        voice = {"id": name, "name": name, "created": "2026-11-30T10:00:00Z", "seconds": 8.0}
        self.fake.voices.append(voice)
        return JSONResponse({**voice, "warnings": []})

    async def delete_voice(self, request: Request) -> Response:
        name = request.path_params["id"]
        self.fake.voices = [voice for voice in self.fake.voices if voice["id"] != name]
        return self.refused(request) or Response(status_code=204)

    async def speech(self, request: Request) -> Response:
        if refusal := self.refused(request):
            return refusal
        body, how = await request.json(), self.fake.behaviour
        if not isinstance(body.get("temperature", 1.0), (int, float)):
            return error(400, "temperature: Input should be a valid number", "temperature")
        self.fake.bodies.append(body)
        sound = samples_of(body, how.seconds)
        headers = {
            "x-sample-rate": str(RATE),
            "x-seed": str(body["seed"]),
            "x-prebuffer-seconds": f"{how.prebuffer:g}",
        }
        if body.get("stream_format") != "sse":
            return Response(sound.tobytes(), media_type="audio/wav", headers=headers)
        await asyncio.sleep(how.first)
        return StreamingResponse(
            self.events(body, sound), headers=headers, media_type="text/event-stream"
        )

    async def events(self, body: dict[str, Any], sound: np.ndarray) -> AsyncIterator[str]:
        how, done = self.fake.behaviour, False
        self.fake.running += 1
        began, stalled = time.monotonic(), 0.0
        try:
            if body.get("word_timestamps"):
                yield event("speech.audio.words", words=words_of(body["input"], how.seconds))
            for start in range(0, len(sound), CHUNK):
                second = start / RATE
                if how.break_after is not None and second >= how.break_after:
                    raise ConnectionResetError
                if how.stall_after is not None and second >= how.stall_after > 0 and not stalled:
                    stalled = how.stall
                    await asyncio.sleep(how.stall)
                await asyncio.sleep(
                    max(0.0, began + stalled + second / how.pace - time.monotonic())
                )
                data = base64.b64encode(sound[start : start + CHUNK].tobytes()).decode()
                yield event("speech.audio.delta", audio=data)
            yield event("speech.audio.done", usage={"input_tokens": 9, "output_tokens": 50})
            done = True
        finally:
            self.fake.running -= 1
            self.fake.cancelled += not done

    def routes(self) -> list[Route]:
        return [
            Route("/ready", self.ready),
            Route("/v1/about", self.about),
            Route("/v1/preview", self.preview, methods=["POST"]),
            Route("/v1/audio/voices", self.list_voices),
            Route("/v1/audio/voices", self.add_voice, methods=["POST"]),
            Route("/v1/audio/voices/{id}", self.delete_voice, methods=["DELETE"]),
            Route("/v1/audio/speech", self.speech, methods=["POST"]),
        ]


def event(kind: str, **values: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **values})}\n\n"


def tap_route() -> Route:
    """The module with which tests listen to the page."""

    async def tap(request: Request) -> Response:
        return Response(TAP, media_type="text/javascript")

    return Route("/page/test-tap.js", tap)


@contextlib.contextmanager
def served(prefix: str = "") -> Iterator[Fake]:
    """A running fake, at a path prefix, in a thread."""
    place = socket.socket()
    place.bind(("127.0.0.1", 0))
    fake = Fake(f"http://127.0.0.1:{place.getsockname()[1]}{prefix}/")
    routes = [tap_route(), *page_routes(), *Api(fake).routes()]
    app = Starlette(routes=[Mount(prefix, routes=routes)] if prefix else routes)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield fake
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        place.close()
