"""`POST /v1/audio/speech`: what is spoken, what is refused, and what happens when one side ends."""

import asyncio
import base64
import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import served
from served import SECONDS, Exchange, exchange, log_lines

from indextts_jax.errors import Failure
from indextts_jax.server.gate import Aborted
from indextts_jax.server.state import ServerState

PATH = "/v1/audio/speech"
BODY = {"model": "indextts-2", "input": "Hello world.", "voice": "anna", "response_format": "pcm"}
TWO = "Hello world. [pause 0.1s] A dog barks."


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerState]:
    state = served.tone_state(monkeypatch)
    state.engine.start()
    yield state
    state.engine.close()


def spoken(state: ServerState, **more: Any) -> Exchange:
    return exchange(state, "POST", PATH, BODY | more)


def error(one: Exchange) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(one.body)["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return found


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_every_format_comes_with_its_type_and_headers(state: ServerState, name: str) -> None:
    one = spoken(state, response_format=name, seed=7)
    assert one.status == 200, one.body
    assert one.headers["content-type"].startswith("audio/")
    assert one.headers["x-seed"] == "7"
    assert one.headers["x-sample-rate"] == ("24000" if name in ("pcm", "opus") else "22050")
    assert one.headers["x-request-id"].startswith("req_")
    assert float(one.headers["x-prebuffer-seconds"]) >= 0
    assert int(one.headers["x-first-audio-ms"]) >= 0
    assert one.headers["x-accel-buffering"] == "no"
    assert one.headers["x-indextts-streamed"] == "1"
    assert one.complete
    assert len(one.body) > 500
    if name == "pcm":
        assert abs(len(one.body) - 2 * SECONDS * 24000) < 4


def test_sounds_are_sent_as_they_are_made(state: ServerState) -> None:
    one = spoken(state, input=TWO, sample_rate=22050)
    sizes = [len(message["body"]) for message in one.sent[1:] if message["body"]]
    first = 2 * (68 * 256 + 2205)
    assert sizes == [first, 2 * 68 * 256]
    assert b"".join(message["body"] for message in one.sent[1:]) == one.body


def test_events_carry_the_same_bytes_and_the_usage(state: ServerState) -> None:
    one = spoken(state, input=TWO, stream_format="sse")
    assert one.headers["content-type"] == "text/event-stream"
    events = [json.loads(line[6:]) for line in one.body.decode().split("\n\n") if line]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["output_tokens"] == 80
    assert done["usage"]["total_tokens"] == 80 + done["usage"]["input_tokens"]
    data = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert data == spoken(state, input=TWO).body


def test_words_follow_the_last_sound_of_their_segment(state: ServerState) -> None:
    one = spoken(state, input=TWO, stream_format="sse", word_timestamps=True)
    events = [json.loads(line[6:]) for line in one.body.decode().split("\n\n") if line]
    kinds = [event["type"].split(".")[-1] for event in events]
    assert kinds == ["delta", "words", "delta", "words", "delta", "done"]  # the encoder's rest
    first, second = (event["words"] for event in events if "words" in event)
    shown = [TWO[word["char_start"] : word["char_end"]] for word in first + second]
    assert shown == ["Hello", "world", "A", "dog", "barks"]
    assert {word["method"] for word in first + second} == {"estimate"}
    edges = [edge for word in first + second for edge in (word["start"], word["end"])]
    assert edges == sorted(edges)
    assert second[0]["start"] >= SECONDS + 0.1 > first[-1]["end"]
    assert edges[-1] <= 2 * SECONDS + 0.1


@pytest.mark.parametrize(
    ("more", "status", "param", "words"),
    [
        ({"input": ""}, 400, "input", "empty"),
        ({"input": " \n "}, 400, "input", "empty"),
        ({"input": "!?"}, 400, "input", "nothing to speak"),
        ({"input": "a\0b"}, 400, "input", "NUL"),
        ({"input": 3}, 400, "input", "string"),
        ({"input": "x" * 20_001}, 400, "input", "20,001 characters"),
        ({"model": "gpt-5"}, 404, "model", "models: indextts-2"),
        ({"voice": "alloy"}, 400, "voice", "voices: anna, bob"),
        ({"voice": "../../etc/passwd"}, 400, "voice", "does not exist"),
        ({"voice": "anna.safetensors"}, 400, "voice", "does not exist"),
        ({"voice": None}, 400, "voice", "missing"),
        ({"voice": {"id": "nobody"}}, 400, "voice", "does not exist"),
        ({"voice": {"name": "anna"}}, 400, "voice", "string"),
        ({"response_format": "ogg"}, 400, "response_format", "mp3"),
        ({"stream_format": "events"}, 400, "stream_format", "audio"),
        ({"speed": 3.0}, 400, "speed", "0.5 to 2"),
        ({"speed": "fast"}, 400, "speed", "number"),
        ({"speed": 9}, 400, "speed", "less than or equal to 4"),
        ({"seed": -1}, 400, "seed", "greater"),
        ({"seed": True}, 400, "seed", "integer"),
        ({"temperature": 0}, 400, "temperature", "greater"),
        ({"sample_rate": 7000}, 400, "sample_rate", "8000"),
        ({"sample_rate": 22050, "response_format": "opus"}, 400, "sample_rate", "opus"),
        ({"instructions": "Cheerful."}, 400, "instructions", "reads_emotion"),
        ({"emotion": {"text": "glad"}}, 400, "emotion.text", "reads_emotion"),
        ({"emotion": {"weights": [1.0, 2.0]}}, 400, "emotion", "8 finite numbers"),
        ({"emotion": {"weights": {"glad": 1.0}}}, 400, "emotion", "glad"),
        ({"emotion": {"recording": "nobody"}}, 400, "voice", "does not exist"),
        ({"emotion": {"mood": 1}}, 400, "emotion.mood", "not permitted"),
        ({"word_timestamps": True}, 400, "word_timestamps", "stream_format sse"),
        ({"language": "xx"}, 400, "language", "IndexTTS-2"),
        ({"beams": 5}, 400, "beams", "server's"),
        ({"steps": 5}, 400, "steps", "server's"),
        ({"pitch": 1}, 400, "pitch", "unknown field: pitch"),
        ({"glossary": {"": "x"}}, 400, "glossary", "glossary"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refusals_name_the_field(
    state: ServerState, more: dict[str, Any], status: int, param: str, words: str
) -> None:
    one = spoken(state, **more)
    found = error(one)
    assert (one.status, found["param"]) == (status, param)
    assert words in found["message"]
    assert state.engine.idle


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"", "required"),
        (b"[1]", "dictionary"),
        (b'{"input": "a", "voice": "anna", "speed": NaN}', "speed"),
        (b'{"input": "a", "voice": "anna", "pause": Infinity}', "pause"),
        (b'{"input": "\\ud800 a", "voice": "anna"}', "input"),
        (b"[" * 10_000, ""),
        (b"\xff\xfe", ""),
    ],
    ids=["cut off", "empty", "a list", "NaN", "infinite", "surrogate", "deep", "not UTF-8"],
)
def test_body_that_is_not_a_request_is_refused(state: ServerState, body: bytes, words: str) -> None:
    one = exchange(state, "POST", PATH, body)
    assert one.status == 400
    assert words in error(one)["message"]


def test_other_methods_and_addresses_are_refused_in_the_same_form(state: ServerState) -> None:
    assert exchange(state, "GET", PATH).status == 405
    one = exchange(state, "GET", "/v1/nowhere")
    assert (one.status, error(one)["type"]) == (404, "not_found_error")


def test_lenient_server_names_what_it_ignores(monkeypatch: pytest.MonkeyPatch) -> None:
    state = served.tone_state(monkeypatch, lenient=True)
    state.engine.start()
    one = spoken(state, pitch=1, stream=True)
    assert one.status == 200
    assert one.headers["x-indextts-ignored"] == "pitch,stream"
    state.engine.close()


def test_voice_by_id_and_by_a_name_of_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    state = served.tone_state(monkeypatch, voice_names=(("alloy", "bob"),))
    state.engine.start()
    for voice in ({"id": "anna"}, "alloy"):
        assert spoken(state, voice=voice).status == 200
    assert [line["voice"] for line in log_lines(state)] == ["anna", "bob"]
    state.engine.close()


def test_failure_before_the_first_sound_has_its_status(state: ServerState) -> None:
    state.engine.codes = 0  # type: ignore[attr-defined]
    one = spoken(state)
    assert one.status == 500
    assert error(one)["message"] == "the model said nothing at all: try another seed"


def failing_second(state: ServerState, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine fails after the first sound of a text."""
    real = state.engine._speak

    def speak() -> bool:
        if state.engine.counts.audio:
            raise Failure("the device is gone")
        return real()

    monkeypatch.setattr(state.engine, "_speak", speak)
    state.settings = dataclasses.replace(state.settings, batch=1)


def test_failure_in_mid_stream_never_looks_like_an_end(
    state: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_second(state, monkeypatch)

    async def go() -> Exchange:
        one = Exchange(state, "POST", PATH, json.dumps(BODY | {"input": TWO}).encode())
        with pytest.raises(Aborted):
            await one.run()
        return one

    one = asyncio.run(go())
    assert one.status == 200
    assert one.body
    assert not one.complete
    (line,) = log_lines(state)
    assert line["aborted"]
    assert "the device is gone" in line["error"]


def test_failure_in_mid_stream_of_events_is_an_event(
    state: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_second(state, monkeypatch)
    one = spoken(state, input=TWO, stream_format="sse")
    *_, last = [json.loads(line[6:]) for line in one.body.decode().split("\n\n") if line]
    assert last["type"] == "speech.audio.error"
    assert last["error"]["message"] == "the device is gone"
    assert one.complete


def test_client_that_goes_frees_its_slot_within_a_tick(
    state: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Any = state.engine
    engine.steps, engine.pace = sys.maxsize, 0.002
    cancel, decode = engine.cancel, engine._decode
    cancelled: list[int] = []  # ticks done when the job was already cancelled
    used: list[int] = []  # ticks done before each in which a slot was used

    def note_cancel(job: Any) -> None:
        cancel(job)
        cancelled.append(engine.counts.ticks)

    def note_decode() -> bool:
        before = engine.counts.ticks
        worked: bool = decode()
        if worked:
            used.append(before)
        return worked

    monkeypatch.setattr(engine, "cancel", note_cancel)
    monkeypatch.setattr(engine, "_decode", note_decode)

    async def go() -> None:
        one = Exchange(state, "POST", PATH, json.dumps(BODY).encode())
        running = asyncio.ensure_future(one.run())
        while not engine.load().slots:
            await asyncio.sleep(0.001)
        one.gone.set()
        await running
        while not engine.idle:
            await asyncio.sleep(0.001)
        assert one.sent == []

    asyncio.run(go())
    assert used[-1] <= cancelled[0]  # at most the tick that ran
    assert engine.counts.cancelled == 1
    (line,) = log_lines(state)
    assert line["cancelled"]


def test_slow_reader_holds_back_its_own_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    state = served.tone_state(monkeypatch, ahead=2 * SECONDS)
    state.engine.start()
    text = " [pause 0.01s] ".join(["A dog barks."] * 20)

    async def go() -> None:
        one = Exchange(state, "POST", PATH, json.dumps(BODY | {"input": text}).encode())
        one.hold = asyncio.Event()
        running = asyncio.ensure_future(one.run())
        until = time.monotonic() + 1.0
        while state.engine.counts.audio < 2 * SECONDS and time.monotonic() < until:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert state.engine.counts.audio < 4 * SECONDS
        one.hold.set()
        await running
        assert one.complete

    asyncio.run(go())
    assert state.engine.counts.audio > 20 * SECONDS - 0.1
    state.engine.close()


def test_many_at_once_are_all_answered(state: ServerState) -> None:
    async def go() -> list[Exchange]:
        body = json.dumps(BODY | {"input": TWO}).encode()
        all_of = [Exchange(state, "POST", PATH, body) for _ in range(12)]
        await asyncio.gather(*(one.run() for one in all_of))
        return all_of

    assert {one.status for one in asyncio.run(go())} == {200}
    assert state.engine.idle


def test_batch_gives_each_text_its_own_status(state: ServerState) -> None:
    items = [{"input": "Hello."}, {"input": ""}, {"input": "Why?", "voice": "bob", "seed": 3}]
    one = exchange(state, "POST", f"{PATH}/batch", {"items": items, "voice": "anna"})
    found = json.loads(one.body)
    assert (found["total"], found["succeeded"], found["failed"]) == (3, 2, 1)
    statuses = [result["status"] for result in found["results"]]
    assert statuses == ["success", "error", "success"]
    assert base64.b64decode(found["results"][0]["audio_data"])[:4] == b"RIFF"
    assert found["results"][2]["seed"] == 3
    assert "empty" in found["results"][1]["error"]
    assert "words" not in found["results"][0]
    many = exchange(state, "POST", f"{PATH}/batch", {"items": items * 11, "voice": "anna"})
    assert many.status == 400


def test_item_of_a_batch_has_its_words(state: ServerState) -> None:
    items = [{"input": TWO, "word_timestamps": True}]
    one = exchange(state, "POST", f"{PATH}/batch", {"items": items, "voice": "anna"})
    words = json.loads(one.body)["results"][0]["words"]
    assert [word["text"] for word in words] == ["Hello", "world", "A", "dog", "barks"]
    assert words[2]["start"] >= SECONDS + 0.1


def test_preview_shows_segments(state: ServerState) -> None:
    found = json.loads(exchange(state, "POST", "/v1/preview", {"input": TWO}).body)
    assert len(found["segments"]) == 2
    assert found["segments"][0]["pause"] == 0.1
    assert exchange(state, "POST", "/v1/preview", {"input": " "}).status == 400
