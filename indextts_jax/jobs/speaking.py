"""The speaker of rows: a model, and the voices that rows name."""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from indextts_jax.audio.output import encode
from indextts_jax.config import RunConfig
from indextts_jax.emotion.reader import EmotionReader
from indextts_jax.emotion.request import Emotion
from indextts_jax.engine.request import Request
from indextts_jax.engine.segment_store import SegmentStore
from indextts_jax.engine.settings import Settings, max_codes_of
from indextts_jax.engine.speech import Speech
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import Failure, InputError
from indextts_jax.jobs.plan import Plan, Recording
from indextts_jax.jobs.results import Outcome
from indextts_jax.jobs.rows import FAILED, FAULTY, OK, REFUSED, Row
from indextts_jax.jobs.work import Broken
from indextts_jax.runtime import adapters, cache_folder, devices
from indextts_jax.runtime.sharding import replicate
from indextts_jax.text.glossary import Glossary
from indextts_jax.utils.hashing import hash_file
from indextts_jax.utils.strict_data import from_data
from indextts_jax.voices import store
from indextts_jax.voices.analysis import EmotionPrompt, Voice

VOICES = 64  # analysed voices in memory
ENCODERS = 2  # threads
PROMPTS = 256  # emotion prompts in memory; one vector each
BROKEN = 3  # rows that fail one after the other: the device does, not the rows


class ModelSpeaker:
    """Speaks rows with the checkpoint of a plan."""

    def __init__(self, plan: Plan, *, device: str = "auto", batch: int = 1):
        self.plan, about = plan, plan.about
        self.device = devices.choose(device)
        cache_folder.enable_compilation_cache()
        run = RunConfig(dtype=about.dtype, fused_attention=about.fused_attention)
        merged = tuple(adapters.read_all(about.adapters, about.adapter_strength))
        with jax.default_device(self.device):
            tts = IndexTTS.open(about.checkpoint, run, adapters=merged)
            local = jax.local_devices(backend=self.device.platform)
            if self.device.platform == "tpu" and len(local) > 1:
                # One process owns all chips of a TPU host; they share the rows of a batch.
                loaded = IndexTTS.load(about.checkpoint, about.dtype, adapters=merged)
                tts = IndexTTS(replicate(loaded.model, local))
        self.tts = tts
        if store_mismatch := _mismatch(tts, plan):
            raise InputError(store_mismatch)
        glossary = None if about.glossary is None else Glossary.of(about.glossary)
        settings = from_data(Settings, dict(about.settings))
        self.settings = dataclasses.replace(settings, glossary=glossary, batch=batch)
        max_codes_of(tts.model, self.settings)
        self._voice = functools.lru_cache(maxsize=VOICES)(self._load_voice)
        self._prompt = functools.lru_cache(maxsize=PROMPTS)(self._load_prompt)
        self._glossary = functools.lru_cache(maxsize=VOICES)(self._load_glossary)

    def speak(self, rows: Sequence[Row]) -> Iterator[tuple[int, Outcome]]:
        """The outcome of each row with its index, as soon as it is ready."""
        requests: dict[int, Request] = {}
        for index, row in enumerate(rows):
            made = self._request(row)
            if isinstance(made, Outcome):
                yield index, made
            else:
                requests[index] = made
        # Requests that are spoken together share their settings.
        for _, members in itertools.groupby(
            sorted(
                requests, key=lambda index: (rows[index].speed or 0, rows[index].glossary or "")
            ),
            key=lambda index: (rows[index].speed, rows[index].glossary),
        ):
            yield from self._together({index: requests[index] for index in members})

    def _together(self, requests: dict[int, Request]) -> Iterator[tuple[int, Outcome]]:
        places = list(requests)
        left = dict(requests)
        broken = False
        # Files are encoded in other threads, so that the device does not wait for them.
        with ThreadPoolExecutor(ENCODERS) as pool:
            encoding: deque[tuple[int, Future[Outcome]]] = deque()
            try:
                with jax.default_device(self.device):
                    many = self.tts.stream_many([requests[index] for index in places])
                    for number, speech in many:
                        del left[places[number]]
                        encoding.append((places[number], pool.submit(outcome_of, speech)))
                        while encoding and encoding[0][1].done():
                            yield _encoded(*encoding.popleft())
            except Exception:
                broken = True
            for index, future in encoding:
                yield _encoded(index, future)
        if broken:
            yield from self._in_turn(left)

    def _in_turn(self, requests: dict[int, Request]) -> Iterator[tuple[int, Outcome]]:
        """Speaks rows alone, as it is not known which of them cannot be spoken."""
        failed = 0
        for index, request in requests.items():
            outcome = self._single(request, None)
            failed = failed + 1 if outcome.status == FAILED else 0
            if failed >= BROKEN:
                raise Broken(outcome.reasons[0])
            yield index, outcome

    def alone(self, row: Row, key: str, folder: Path) -> Outcome:
        """The outcome of one row; its finished segments are stored in `folder`."""
        made = self._request(row)
        if isinstance(made, Outcome):
            return made
        timed = (made.settings or self.settings).timing.duration is not None
        return self._single(made, None if timed else SegmentStore.open(folder / key, key))

    def _single(self, request: Request, segments: SegmentStore | None) -> Outcome:
        try:
            with jax.default_device(self.device):
                return outcome_of(self.tts.speak(request, store=segments))
        except InputError as error:
            return Outcome(status=REFUSED, reasons=(str(error),))
        except Exception as error:
            return _failed(error)

    def _request(self, row: Row) -> Request | Outcome:
        """The request of a row; or its outcome, if it cannot be spoken."""
        try:
            settings = self.settings
            if row.speed is not None:
                timing = dataclasses.replace(settings.timing, speed=row.speed)
                settings = dataclasses.replace(settings, timing=timing)
            if row.glossary is not None:
                own = self._glossary(self._recording(row, row.glossary))
                settings = dataclasses.replace(settings, glossary=own)
            self.tts.check(row.text, settings, row.language)
            emotion = dict(row.emotion)
            if "text" in emotion:
                emotion = self._read(emotion)
            elif "prompt" in emotion:
                emotion["prompt"] = self._prompt(self._recording(row, emotion["prompt"]))
            made = Emotion(**emotion)
            if made.unused:
                raise InputError(f"emotion: {', '.join(made.unused)} would have no effect")
            return Request(
                text=row.text,
                voice=self._voice(self._recording(row, row.voice)),
                emotion=made,
                seed=row.seed,
                settings=settings,
                language=row.language,
            )
        except InputChanged:
            raise
        except InputError as error:
            return Outcome(status=REFUSED, reasons=(str(error),))

    def _recording(self, row: Row, name: str) -> Recording:
        return self.plan.recording(row.base, name)

    def _load_voice(self, recording: Recording) -> Voice:
        path = Path(recording.path)
        with jax.default_device(self.device):
            if path.suffix == store.ENDING:
                _unchanged(recording, store.read_record(path).digest)
                return store.load_voice(self.tts.model, path)
            _unchanged(recording, hash_file(path).sha256)
            return self.tts.voice(path, excerpt=excerpt_of(self.plan.about.excerpt))

    def _load_prompt(self, recording: Recording) -> EmotionPrompt:
        _unchanged(recording, hash_file(Path(recording.path)).sha256)
        with jax.default_device(self.device):
            return self.tts.emotion(recording.path)

    def _load_glossary(self, recording: Recording) -> Glossary:
        _unchanged(recording, hash_file(Path(recording.path)).sha256)
        return Glossary.load(recording.path)

    def _read(self, emotion: dict[str, Any]) -> dict[str, Any]:
        """The emotion with weights in place of its text."""
        if self.tts.reader is None:
            reader = EmotionReader.load(self.plan.about.checkpoint, self.plan.about.dtype)
            self.tts = dataclasses.replace(self.tts, reader=reader)
        weights = self.tts.read_emotion(str(emotion.pop("text"))).weights
        return {**emotion, "weights": weights}


def _failed(error: Exception) -> Outcome:
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return Outcome(status=FAILED, reasons=(words[:500],))


def _encoded(index: int, future: "Future[Outcome]") -> tuple[int, Outcome]:
    """A row's outcome once its file is encoded."""
    try:
        return index, future.result()
    except Exception as error:
        return index, _failed(error)


class InputChanged(InputError):
    """A recording is not what it was when the plan was made."""


def _unchanged(recording: Recording, found: str) -> None:
    if found != recording.digest:
        raise InputChanged(
            f"{recording.path} has changed since the plan was made: restore it, or make a plan in "
            "another directory"
        )


def _mismatch(tts: IndexTTS, plan: Plan) -> str | None:
    from indextts_jax.engine.recipe import fingerprint

    if fingerprint(tts.model) == plan.about.fingerprint:
        return None
    return (
        f"{plan.about.checkpoint} has changed since the plan was made: restore it, or make a plan "
        "in another directory"
    )


def excerpt_of(word: str) -> str | float:
    """The excerpt that a word stands for: a name, or a second."""
    with contextlib.suppress(ValueError):
        return float(word)
    return word


def outcome_of(speech: Speech) -> Outcome:
    """The outcome of a row that was spoken; its samples become a FLAC file of 16 bits.

    Raises:
        Failure: for a speech without any sample.
    """
    if not len(speech.samples):
        raise Failure("the model said nothing at all: try another seed")
    faults = [fault for segment in speech.segments for fault in segment.faults]
    hashes = [segment.codes_hash for segment in speech.segments]
    joined = hashlib.sha256(" ".join(hashes).encode()).hexdigest()
    return Outcome(
        status=FAULTY if faults else OK,
        reasons=tuple(dict.fromkeys(fault.message for fault in faults)),
        flac=encode(np.asarray(speech.samples), speech.sample_rate, "FLAC", "PCM_16"),
        sample_rate=speech.sample_rate,
        samples=len(speech.samples),
        codes=sum(segment.codes for segment in speech.segments),
        codes_hash=joined[:32],
        tries=max(segment.tries for segment in speech.segments),
        faults=tuple(dict.fromkeys(fault.kind for fault in faults)),
        compute=sum(speech.seconds.values()),
    )
