"""Readiness, queue, keys, limits, voices and metrics."""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import served
from served import Exchange, exchange, log_lines
from starlette.requests import Request

from indextts_jax.engine.live.engine import Load
from indextts_jax.errors import Failure, InputError
from indextts_jax.server.access import Keys
from indextts_jax.server.admission import admit
from indextts_jax.server.options import ServerOptions
from indextts_jax.server.problems import ApiError, api_error
from indextts_jax.server.state import ServerState
from indextts_jax.server.voice_library import checked_path

BODY = {"model": "tts-1", "input": "Hello.", "voice": "anna", "response_format": "pcm"}
SPEECH = "/v1/audio/speech"


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerState]:
    state = served.tone_state(monkeypatch)
    state.engine.start()
    yield state
    state.engine.close()


def test_ready_says_what_it_waits_for(state: ServerState) -> None:
    assert exchange(state, "GET", "/ready").status == 200
    state.ready, state.progress = False, "codes of 4 streams"
    one = exchange(state, "GET", "/ready")
    assert one.status == 503
    assert b"codes of 4 streams" in one.body
    assert exchange(state, "POST", SPEECH, BODY).status == 503
    assert exchange(state, "GET", "/health").status == 200
    state.ready = state.draining = True
    assert b"ending" in exchange(state, "GET", "/ready").body


def test_failed_engine_is_said_everywhere(
    state: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = state.engine._decode

    def broken() -> bool:
        if state.engine._jobs:  # the engine also wakes up before the request is there
            raise Failure("no memory")
        return decode()

    monkeypatch.setattr(state.engine, "_decode", broken)
    assert exchange(state, "POST", SPEECH, BODY).status == 500
    state.engine._thread.join(10)
    for path in ("/ready", "/health"):
        assert exchange(state, "GET", path).status == 503
    assert exchange(state, "POST", SPEECH, BODY).status == 503


def load(**more: Any) -> Load:
    usual = {"jobs": 0, "unheard": 0, "slots": 4, "seconds": 0.0, "first": 0.0, "rate": 2.0}
    return Load(**(usual | more))


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        (load(unheard=5, first=10.0), "1000"),
        (load(seconds=100.0), "25000"),
        (load(seconds=1000.0), "475000"),
        (load(seconds=100.0, rate=None), "5000"),
        (load(unheard=2, first=120.0), "30000"),
    ],
    ids=["count", "audio", "much audio", "unmeasured", "wait"],
)
def test_full_queue_says_when_to_come_again(given: Load, wait: str) -> None:
    options = ServerOptions(max_queue=5, max_queue_seconds=50.0, max_wait=30.0)
    with pytest.raises(ApiError) as caught:
        admit(given, [], 4, options)
    assert caught.value.status == 429
    assert caught.value.headers["retry-after-ms"] == wait
    assert ("x-should-retry" in caught.value.headers) == (int(wait) > 60_000)


def test_request_is_taken_while_there_is_space() -> None:
    options = ServerOptions(max_queue=5, max_queue_seconds=50.0, max_wait=30.0)
    admit(load(unheard=4, seconds=49.0, first=50.0), [], 4, options)
    admit(load(slots=3, first=1000.0), [], 4, options)
    with pytest.raises(ApiError):
        admit(load(unheard=4, seconds=49.0), [2.0], 4, options)


def write_keys(folder: Path, *keys: str) -> Path:
    lines = [f"{hashlib.sha256(key.encode()).hexdigest()} user{n}" for n, key in enumerate(keys)]
    path = folder / "keys.txt"
    path.write_text("# keys\n\n" + "\n".join(lines) + "\n")
    return path


def test_keys_are_needed_and_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write_keys(tmp_path, "one", "two")
    state = served.tone_state(monkeypatch, Keys(path))
    state.engine.start()
    for wrong in ({}, {"authorization": "Bearer no"}, {"authorization": "Basic one"}):
        one = exchange(state, "POST", SPEECH, BODY, **wrong)
        assert one.status == 401
        assert one.headers["www-authenticate"] == "Bearer"
        assert json.loads(one.body)["error"]["type"] == "authentication_error"
    assert exchange(state, "GET", "/metrics").status == 401
    assert exchange(state, "GET", "/health").status == 200
    assert exchange(state, "POST", SPEECH, BODY, authorization="Bearer two").status == 200
    assert log_lines(state)[-1]["key"] == "user1"
    write_keys(tmp_path, "three")
    assert state.keys is not None
    state.keys.reread()
    assert exchange(state, "POST", SPEECH, BODY, authorization="Bearer two").status == 401
    path.write_text("three\n")
    with pytest.raises(InputError, match=r"keys\.txt:1: expected the SHA-256"):
        state.keys.reread()
    assert exchange(state, "POST", SPEECH, BODY, authorization="Bearer three").status == 200
    state.engine.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org", "10.0.0.1"])
def test_address_of_others_needs_keys(host: str) -> None:
    with pytest.raises(InputError, match="can be reached from other machines"):
        ServerOptions(host=host)
    ServerOptions(host=host, insecure=True)


def test_pages_of_other_sites_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = Keys(write_keys(tmp_path, "one"))
    state = served.tone_state(monkeypatch, keys, cors_origins=("https://ours.example",))
    state.engine.start()
    assert exchange(state, "POST", SPEECH, BODY, origin="https://evil.example").status == 403
    key = {"authorization": "Bearer one"}
    assert exchange(state, "POST", SPEECH, BODY, origin="http://test", **key).status == 200
    one = exchange(state, "POST", SPEECH, BODY, origin="https://ours.example", **key)
    assert one.headers["access-control-allow-origin"] == "https://ours.example"
    assert "access-control-allow-credentials" not in one.headers
    asks = {"origin": "https://ours.example", "access_control_request_method": "POST"}
    assert exchange(state, "OPTIONS", SPEECH, **asks).status == 200
    state.engine.close()


@pytest.mark.parametrize("origin", ["*", "https://*.example", "example.org", "https://a/"])
def test_origin_that_is_not_exact_is_refused(origin: str) -> None:
    with pytest.raises(InputError, match="cors_origin"):
        ServerOptions(cors_origins=(origin,))


def test_large_body_is_refused_before_and_while_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    state = served.tone_state(monkeypatch, body_bytes=1000)
    assert exchange(state, "POST", SPEECH, b"", content_length="1001").status == 413

    async def go() -> Exchange:
        one = Exchange(state, "POST", SPEECH, b"")
        one.incoming = [b" " * 400] * 1_000_000
        await one.run()
        assert len(one.incoming) > 999_000  # what came later was not read
        return one

    one = asyncio.run(go())
    assert one.status == 413
    assert one.headers["connection"] == "close"


def test_slow_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    state = served.tone_state(monkeypatch, body_seconds=0.05)

    async def go() -> Exchange:
        one = Exchange(state, "POST", SPEECH, b"")
        one.incoming = [b"{", b""]
        real = one.receive

        async def slow() -> Any:
            if len(one.incoming) < 2:
                await asyncio.sleep(10)
            return await real()

        one.receive = slow  # type: ignore[method-assign]
        await one.run()
        return one

    assert asyncio.run(go()).status == 408


def test_voices_are_listed(state: ServerState) -> None:
    found = json.loads(exchange(state, "GET", "/v1/audio/voices").body)["voices"]
    assert [voice["id"] for voice in found] == ["anna", "bob"]
    assert set(found[0]) == {"id", "name", "created", "seconds"}


def test_upload_and_delete_need_a_checkpoint(state: ServerState) -> None:
    assert exchange(state, "DELETE", "/v1/audio/voices/anna").status == 403
    assert exchange(state, "DELETE", "/v1/audio/voices/nobody").status == 404
    assert exchange(state, "POST", "/v1/audio/voices", {"name": "x"}).status == 400


ESCAPES = [
    "../x",
    "..",
    ".",
    "/etc/x",
    "a/b",
    "a\\b",
    "a\0",
    "",
    " ",
    "a.safetensors",
    "-",
    "x" * 101,
]


@pytest.mark.parametrize("name", [*ESCAPES, "a\nb", "~x", "con:", "a "])
def test_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(ApiError, match="a name has letters"):
        checked_path(name)


def test_models_are_listed(state: ServerState) -> None:
    found = json.loads(exchange(state, "GET", "/v1/models").body)
    assert found["data"][0]["id"] == "indextts-2"
    assert exchange(state, "GET", "/v1/models/tts-1").status == 200
    assert exchange(state, "GET", "/v1/models/whisper-1").status == 404


def test_metrics_count_what_happened(state: ServerState) -> None:
    exchange(state, "POST", SPEECH, BODY)
    exchange(state, "POST", SPEECH, BODY | {"voice": "nobody"})
    page = exchange(state, "GET", "/metrics").body.decode()

    def value(name: str) -> float:
        (found,) = re.findall(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
        return float(found)

    assert value('indextts_requests_total{path="/v1/audio/speech",status="200"}') == 1
    assert value('indextts_requests_total{path="/v1/audio/speech",status="400"}') == 1
    assert value("indextts_first_audio_seconds_count") == 1
    assert value("indextts_codes_total") == served.CODES
    assert value("indextts_underruns_total") == 0
    assert value("indextts_slots_used") == 0
    assert "# TYPE indextts_faults_total counter" in page


def test_log_has_no_text_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for log_text in (False, True):
        state = served.tone_state(monkeypatch, log_text=log_text)
        state.engine.start()
        exchange(state, "POST", SPEECH, BODY)
        (line,) = log_lines(state)
        assert (line.get("text") == "Hello.") == log_text
        assert line["characters"] == 6
        assert line["codes"] == served.CODES
        state.engine.close()


def test_unexpected_error_shows_no_detail() -> None:
    shown = api_error(ZeroDivisionError("secret place"))
    assert shown.status == 500
    assert "secret" not in str(shown)


def test_schema_describes_every_address(state: ServerState) -> None:
    schema = json.loads(exchange(state, "GET", "/openapi.json").body)
    assert {SPEECH, f"{SPEECH}/batch", "/v1/audio/voices", "/v1/preview"} <= set(schema["paths"])
    assert Request  # the schema is made without one


def test_page_has_a_strict_policy_and_needs_no_key(state: ServerState) -> None:
    state.keys = Keys.__new__(Keys)  # any other address would ask it
    answer = exchange(state, "GET", "/")
    assert answer.status == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_about_says_what_requests_may_ask_for(state: ServerState) -> None:
    about = json.loads(exchange(state, "GET", "/v1/about").body)
    assert about["model"] in state.options.model_names
    assert about["weights"] == "random"
    assert about["sample_rate"] == 22_050
    assert about["defaults"]["temperature"] == state.settings.sampling.temperature
    assert about["word_timestamps"] == "estimate"
