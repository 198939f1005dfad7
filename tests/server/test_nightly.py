"""What takes long: fuzzing, bombs, many clients that go, and a server on the tiny set."""

import asyncio
import io
import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import golden_copies
import httpx
import numpy as np
import openai
import pytest
import served
import soundfile
import support
from served import Exchange
from served_clients import LONG, SPEECH, start, talk

pytestmark = pytest.mark.nightly
QUICK = ("--steps=2", "--max_codes=60", "--batch=2", "--warm_up=none")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server on the tiny set, in a process of its own; its voices are in a directory."""
    voices = tmp_path_factory.mktemp("voices")
    checkpoint = f"--checkpoint={golden_copies.shared()}"
    words = ("-m", "indextts_jax.serve", checkpoint, "--port=0", *QUICK)
    process, address = start(*words, INDEXTTS_JAX_VOICES=str(voices))
    yield process, address, voices
    process.terminate()
    assert process.wait(120) == 0


def upload(address: str, data: bytes, name: str = "anna") -> httpx.Response:
    files = {"audio_sample": ("a.wav", data)}
    form = {"name": name, "consent": "yes, today"}
    return httpx.post(f"{address}/v1/audio/voices", files=files, data=form, timeout=600)


def resident(pid: int) -> int:
    """The most memory that a process had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError(pid)


def test_voice_is_uploaded_spoken_and_deleted(tiny: Any) -> None:
    _, address, voices = tiny
    recording = (support.TINY / "speaker.wav").read_bytes()
    made = upload(address, recording)
    assert made.status_code == 200, made.text
    assert [path.name for path in voices.iterdir()] == ["anna.safetensors"]
    assert upload(address, recording).status_code == 409
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", timeout=600)
    options: Any = SPEECH | {"response_format": "pcm", "extra_body": {"seed": 3}}
    first, again = (client.audio.speech.create(**options).content for _ in range(2))
    assert first == again
    assert np.abs(np.frombuffer(first, "<i2")).max() > 0
    sample = httpx.get(f"{address}/v1/audio/voices/anna/sample", timeout=600)
    assert sample.content[:4] == b"RIFF"
    assert httpx.delete(f"{address}/v1/audio/voices/anna").status_code == 200
    assert not list(voices.iterdir())


def bombs() -> dict[str, bytes]:
    """Uploads that are small, and large when they are read; and some that are not sound."""
    silence, wide = io.BytesIO(), io.BytesIO()
    with soundfile.SoundFile(silence, "w", 48000, 1, "PCM_16", format="FLAC") as file:
        for _ in range(600):  # ten hours
            file.write(np.zeros(60 * 48000, np.int16))
    soundfile.write(wide, np.zeros((100, 1024), np.float32), 96000, format="WAV")
    short = io.BytesIO()
    soundfile.write(short, np.full(2000, 0.1, np.float32), 22050, format="WAV")
    return {
        "silence": silence.getvalue(),
        "channels": wide.getvalue(),
        "short": short.getvalue(),
        "zip": b"PK\x03\x04" + bytes(5000),
        "empty": b"",
        "text": b"hello" * 100,
    }


def endless_status(address: str) -> int:
    """The answer to a body of 1 GB, of which nothing says how large it is."""
    megabytes = (bytes(2**20) for _ in range(1000))
    headers = {"content-type": "application/json"}
    url = f"{address}/v1/audio/speech"
    try:
        return httpx.post(url, content=megabytes, headers=headers, timeout=600).status_code
    except (httpx.WriteError, httpx.ReadError):
        return 413  # the connection was closed while it was still sent


def test_bombs_are_refused_within_memory(tiny: Any) -> None:
    process, address, voices = tiny
    before = resident(process.pid)
    for name, data in bombs().items():
        answer = upload(address, data, name)
        assert answer.status_code == 400, (name, answer.text)
        assert answer.json()["error"]["param"] == "audio_sample"
        assert "/" not in answer.json()["error"]["message"].split(":")[0]
    assert resident(process.pid) - before < 300 * 2**20
    assert not list(voices.iterdir())

    assert endless_status(address) == 413
    assert resident(process.pid) - before < 400 * 2**20
    assert httpx.get(f"{address}/ready").status_code == 200


@pytest.mark.parametrize(
    "name", ["../x", "..%2f..%2fx", "/etc/passwd", "a.safetensors", "%00", "a%00b"]
)
def test_name_never_leaves_the_directory(tiny: Any, name: str) -> None:
    _, address, voices = tiny
    before = {path: path.stat().st_mtime_ns for path in voices.parent.rglob("*")}
    for path in (f"/v1/audio/voices/{name}", f"/v1/audio/voices/{name}/sample"):
        assert httpx.delete(f"{address}{path}").status_code in (400, 404, 405)
        assert httpx.get(f"{address}{path}").status_code in (400, 404, 405)
    body = SPEECH | {"voice": name}
    assert httpx.post(f"{address}/v1/audio/speech", json=body).status_code == 400
    assert {path: path.stat().st_mtime_ns for path in voices.parent.rglob("*")} == before


def test_many_that_go_change_nothing_for_those_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 clients go at random moments, while 4 others listen."""
    state = served.tone_state(monkeypatch)
    engine: Any = state.engine
    engine.steps, engine.pace = 5, 0.001
    engine.start()
    rng = random.Random(0)
    body = json.dumps(SPEECH | {"input": LONG, "response_format": "pcm"}).encode()

    async def going() -> None:
        one = Exchange(state, "POST", "/v1/audio/speech", body)
        running = asyncio.ensure_future(one.run())
        await asyncio.sleep(rng.uniform(0, 0.5))
        one.gone.set()
        await running

    async def go() -> list[bytes]:
        stay = [Exchange(state, "POST", "/v1/audio/speech", body) for _ in range(4)]
        await asyncio.gather(*(one.run() for one in stay), *(going() for _ in range(50)))
        return [one.body for one in stay]

    alone = served.exchange(state, "POST", "/v1/audio/speech", body).body
    assert set(asyncio.run(go())) == {alone}
    until = time.monotonic() + 10
    while not engine.idle and time.monotonic() < until:
        time.sleep(0.01)
    assert engine.idle
    assert engine.load().slots == 0
    engine.close()


def test_schema_holds_for_made_up_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    state = served.tone_state(monkeypatch)
    checks = (
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    )
    with served.running(state) as address:
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")

        for result in schema.get_all_operations():
            operation = result.ok()
            strategy = operation.as_strategy()
            _run(strategy, checks)


def _run(strategy: Any, checks: Any) -> None:
    from hypothesis import HealthCheck, given, settings

    @settings(
        max_examples=20,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def check(case: Any) -> None:
        case.validate_response(case.call(), checks=checks)

    check()


def test_socket_survives_whatever_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    state = served.tone_state(monkeypatch, socket_idle=30.0)
    rng = random.Random(0)
    kinds = ["session.config", "input.text", "input.done", "input.cancel", "x", None, 3]
    values = ["", "Hello to you. ", "a\0b", "\ud800", 3, None, [], {}, True, "anna", 1e400]
    with served.running(state) as address:
        for _ in range(60):
            messages: list[Any] = []
            for _ in range(rng.randrange(1, 8)):
                message = {"type": rng.choice(kinds), "text": rng.choice(values)}
                if rng.random() < 0.3:
                    message[rng.choice(["voice", "speed", "seed", "input"])] = rng.choice(values)
                text = json.dumps(message)
                messages.append(text[: rng.randrange(len(text))] if rng.random() < 0.1 else text)
            talk(address, *messages, "}", config={"voice": "anna"})
        found, _ = talk(address, {"type": "input.text", "text": "Hello."}, {"type": "input.done"})
        assert found[-1]["type"] == "session.done"
        assert state.engine.idle


@pytest.mark.parametrize("seed", range(4))
def test_sigterm_at_any_moment_ends_in_time(seed: int) -> None:
    process, address = start(served.__file__, "--pace=0.005", "--steps=4", "--drain=1")
    rng, ends = random.Random(seed), []

    def listen() -> None:
        body = SPEECH | {"input": LONG, "response_format": "pcm"}
        try:
            answer = httpx.post(f"{address}/v1/audio/speech", json=body, timeout=60)
            ends.append(answer.status_code)
        except httpx.TransportError:
            ends.append(0)

    threads = [threading.Thread(target=listen) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(rng.uniform(0, 1))
    process.send_signal(signal.SIGTERM)
    if seed % 2:
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    for thread in threads:
        thread.join(60)
    assert set(ends) <= {0, 200, 503}


def test_nothing_is_left_behind_by_many_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    state = served.tone_state(monkeypatch)
    state.engine.start()
    body = json.dumps(SPEECH | {"input": LONG, "response_format": "pcm"}).encode()

    async def some(count: int) -> None:
        for number in range(count):
            one = Exchange(state, "POST", "/v1/audio/speech", body)
            if number % 3 == 0:
                one.gone.set()
            await one.run()

    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    asyncio.run(some(200))
    threads, before = threading.active_count(), pages()
    asyncio.run(some(800))
    assert threading.active_count() <= threads
    assert pages() * os.sysconf("SC_PAGE_SIZE") < before * os.sysconf("SC_PAGE_SIZE") * 1.05
    assert state.engine.idle
    state.engine.close()
