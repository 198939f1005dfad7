"""Real clients on a real socket: OpenAI's, curl, WebSockets, and one that goes away."""

import asyncio
import io
import json
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import served
from served_clients import LONG, SPEECH, start, talk
from websockets.exceptions import ConnectionClosedError

from indextts_jax.errors import Failure
from indextts_jax.server import speaking
from indextts_jax.server.problems import busy
from indextts_jax.server.state import ServerState


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> ServerState:
    return served.tone_state(monkeypatch)


@pytest.fixture
def address(state: ServerState) -> Iterator[str]:
    with served.running(state) as address:
        yield address


@pytest.fixture
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", timeout=60)


def test_openai_client_gets_whole_files_and_streams(client: openai.OpenAI) -> None:
    given: Any = SPEECH
    whole = client.audio.speech.create(**given, response_format="wav").content
    with wave.open(io.BytesIO(whole)) as file:
        assert (file.getframerate(), file.getnchannels()) == (22050, 1)
    assert len(whole) == 44 + 2 * 68 * 256
    parts = []
    options: Any = given | {"input": LONG, "response_format": "pcm"}
    with client.audio.speech.with_streaming_response.create(**options) as answer:
        parts += list(answer.iter_bytes())
        assert answer.headers["x-sample-rate"] == "24000"
    assert len(parts) > 1
    seconds = 5 * served.SECONDS + 4 * 0.1
    assert len(b"".join(parts)) / 2 / 24000 == pytest.approx(seconds, abs=0.01)
    assert next(model.id for model in client.models.list()) == "indextts-2"


def test_openai_async_client_streams_side_by_side(address: str) -> None:
    async def go() -> list[bytes]:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none") as client:

            async def one() -> bytes:
                options: Any = SPEECH | {"response_format": "pcm"}
                many = client.audio.speech.with_streaming_response.create(**options)
                async with many as answer:
                    return b"".join([part async for part in answer.iter_bytes()])

            return await asyncio.gather(*(one() for _ in range(6)))

    found = asyncio.run(go())
    assert len(set(found)) == 1
    assert np.abs(np.frombuffer(found[0], "<i2")).max() > 5000


def test_openai_client_raises_its_own_errors(client: openai.OpenAI) -> None:
    given: Any = SPEECH
    with pytest.raises(openai.BadRequestError, match="voices: anna, bob"):
        client.audio.speech.create(**given | {"voice": "alloy"})
    with pytest.raises(openai.NotFoundError, match="models: indextts-2"):
        client.audio.speech.create(**given | {"model": "gpt-5"})


def test_openai_client_comes_again_when_the_queue_was_full(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def full_twice(*given: Any) -> None:
        calls.append(1)
        if len(calls) < 3:
            raise busy("the queue is full", 0.01)

    monkeypatch.setattr(speaking, "admit", full_twice)
    given: Any = SPEECH
    assert client.audio.speech.create(**given, response_format="pcm").content
    assert len(calls) == 3


def test_connection_breaks_when_a_stream_fails(
    state: ServerState, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = state.engine._speak

    def speak() -> bool:
        if state.engine.counts.audio:
            raise Failure("the device is gone")
        return real()

    monkeypatch.setattr(state.engine, "_speak", speak)
    body = SPEECH | {"input": LONG, "response_format": "pcm"}
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{address}/v1/audio/speech", json=body, timeout=60)


def test_work_ends_when_a_client_goes(state: ServerState, address: str) -> None:
    engine: Any = state.engine
    engine.most_finished, engine.pace = 2, 0.002
    body = SPEECH | {"input": LONG, "response_format": "pcm"}
    url = f"{address}/v1/audio/speech"
    with httpx.stream("POST", url, json=body, timeout=60) as answer:
        next(answer.iter_raw())
        assert not engine.idle
    until = time.monotonic() + 60
    while not engine.idle and time.monotonic() < until:
        time.sleep(0.005)
    assert engine.idle
    assert engine.counts.cancelled == 1
    assert engine.counts.audio < 5 * served.SECONDS


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_the_first_bytes_before_the_last(state: ServerState, address: str) -> None:
    engine: Any = state.engine
    engine.most_finished = 2
    body = json.dumps(SPEECH | {"input": LONG, "response_format": "wav"})
    command = ["curl", "-sN", f"{address}/v1/audio/speech", "-H", "Content-Type: application/json"]
    with subprocess.Popen([*command, "-d", body], stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        assert curl.stdout.read(1000)[:4] == b"RIFF"
        assert engine.counts.audio < 3 * served.SECONDS
        engine.most_finished = sys.maxsize
        curl.stdout.read()
    assert curl.returncode == 0
    assert engine.counts.audio > 5 * served.SECONDS


def text(*pieces: str) -> list[dict[str, str]]:
    return [{"type": "input.text", "text": piece} for piece in pieces]


DONE = {"type": "input.done"}


def test_socket_speaks_sentence_by_sentence(address: str) -> None:
    pieces = text("A dog bar", "ks at me. A cat", " sleeps all day")
    found, data = talk(address, *pieces, DONE)
    kinds = [message["type"] for message in found]
    assert kinds == ["audio.start", "audio.done"] * 2 + ["session.done"]
    starts = [one["sentence_text"] for one in found if one["type"] == "audio.start"]
    assert starts == ["A dog barks at me.", "A cat sleeps all day"]
    assert found[-1]["total_sentences"] == 2
    assert len(b"".join(data)) / 2 / 24000 == pytest.approx(2 * served.SECONDS, abs=0.01)


def test_socket_gives_the_words_of_each_sentence(address: str) -> None:
    config = SPEECH | {"word_timestamps": True}
    found, _ = talk(address, *text("A dog barks at me. A cat"), DONE, config=config)
    words = [one["words"] for one in found if one["type"] == "audio.words"]
    assert [[word["text"] for word in run] for run in words] == [
        ["A", "dog", "barks", "at", "me"],
        ["A", "cat"],
    ]


def test_socket_cancels_what_is_not_spoken(state: ServerState, address: str) -> None:
    engine: Any = state.engine
    engine.steps, engine.pace = sys.maxsize, 0.002
    found, data = talk(address, *text("A dog barks at me. "), {"type": "input.cancel"})
    assert found[-1]["type"] == "audio.cancelled"
    assert not data
    until = time.monotonic() + 60
    while not engine.idle and time.monotonic() < until:
        time.sleep(0.005)
    assert engine.idle


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("{", "not JSON"),
        ("[]", "JSON objects"),
        ({"type": "hello"}, "unknown type"),
        ({"type": "input.text"}, "needs text"),
        ({"type": "input.text", "text": 3}, "needs text"),
    ],
    ids=["cut off", "list", "type", "no text", "number"],
)
def test_socket_says_what_is_wrong(address: str, message: Any, words: str) -> None:
    found, _ = talk(address, message)
    assert words in found[-1]["message"]


def test_socket_closes_on_a_message_that_is_too_large(address: str) -> None:
    with pytest.raises(ConnectionClosedError, match="1009"):
        talk(address, "x" * 132_000)


def test_socket_needs_a_valid_configuration(address: str) -> None:
    found, _ = talk(address, config={"voice": "anna", "speed": "x"})
    assert "speed" in found[-1]["message"]
    found, _ = talk(address, *text("Hello to all."), DONE, config={"voice": "nobody"})
    assert "voices: anna, bob" in found[0]["message"]


def test_sigterm_lets_a_stream_finish_and_refuses_new_work() -> None:
    process, address = start(served.__file__, "--pace=0.02", "--steps=15", "--drain=20")
    text = " [pause 0.1s] ".join([LONG] * 8)
    body = SPEECH | {"input": text, "response_format": "pcm"}
    with httpx.stream("POST", f"{address}/v1/audio/speech", json=body, timeout=60) as answer:
        data = answer.iter_raw()
        parts = [next(data)]
        process.send_signal(signal.SIGTERM)
        until = time.monotonic() + 10
        while httpx.get(f"{address}/ready").status_code != 503 and time.monotonic() < until:
            time.sleep(0.01)
        assert httpx.post(f"{address}/v1/audio/speech", json=body).status_code == 503
        parts += list(data)
    seconds = 40 * served.SECONDS + 39 * 0.1
    assert len(b"".join(parts)) / 2 / 24000 == pytest.approx(seconds, abs=0.01)
    assert process.wait(30) == 0


@pytest.mark.nightly
def test_sigterm_breaks_what_does_not_finish_in_time() -> None:
    process, address = start(served.__file__, "--pace=0.02", "--steps=100", "--drain=0.2")
    body = SPEECH | {"input": LONG, "response_format": "pcm"}
    with pytest.raises(httpx.TransportError):
        _signalled(process, address, body)
    assert process.wait(30) == 0


def _signalled(process: "subprocess.Popen[str]", address: str, body: Any) -> None:
    """Reads a stream whose server is asked to end after its first bytes."""
    with httpx.stream("POST", f"{address}/v1/audio/speech", json=body, timeout=60) as answer:
        data = answer.iter_raw()
        next(data)
        process.send_signal(signal.SIGTERM)
        list(data)
