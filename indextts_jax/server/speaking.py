"""From the fields of a request to a stream of sounds out of the engine."""

import asyncio
import dataclasses
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from indextts_jax.audio.encoders import check_format
from indextts_jax.emotion.request import Emotion
from indextts_jax.engine.live.jobs import Broken, Event, Finished, Job, LiveRequest
from indextts_jax.engine.pace import FASTEST, SLOWEST, Timing
from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.streaming.chunks import Chunks, Sound
from indextts_jax.engine.streaming.listener import Listener
from indextts_jax.errors import Failure, InputError
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.server.admission import admit
from indextts_jax.server.fields import Delivery, EmotionFields, VoiceId, unknown_fields
from indextts_jax.server.problems import ApiError
from indextts_jax.server.state import ServerState
from indextts_jax.text.frontend import Script
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.notices import text_notices
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices.analysis import EmotionPrompt, Voice

SAMPLING = ("temperature", "top_k", "top_p", "repetition_penalty")
FIXED = ("beams", "steps", "guidance", "dtype", "batch", "max_codes", "greedy")  # the server's own


@dataclasses.dataclass(frozen=True)
class Order:
    """A request whose fields were checked: what is spoken, and how it is sent."""

    request: Request
    settings: Settings
    script: Script
    voice: str  # its name
    rate: int  # Hz
    ignored: tuple[str, ...]  # unknown fields
    timings: bool = False  # whether the times of words are requested

    @property
    def expected(self) -> float:
        """Estimated seconds of audio."""
        segments = self.script.segments
        pace = self.settings.timing.pace
        return sum(one.duration.usual / pace + one.pause for one in segments)

    @property
    def tokens(self) -> int:
        return sum(len(one.ids) for one in self.script.segments)


async def order_of(state: ServerState, fields: Delivery, text: str) -> Order:
    """Checks the fields of a request; nothing runs on the device but the loading of a voice.

    Raises:
        ApiError, InputError: for what is refused.
    """
    ignored = ignored_fields(state, fields)
    state.check_model(fields.model)
    rate = check_format(fields.response_format, fields.sample_rate)
    check_text(state, text)
    settings = settings_of(state, fields)
    name, voice = await _voice(state, fields.voice)
    emotion = await _emotion(state, fields)
    request = Request(
        text=text,
        voice=voice,
        emotion=emotion,
        seed=secrets.randbelow(2**32) if fields.seed is None else fields.seed,
        settings=settings,
        language=fields.language,
    )
    script = await asyncio.to_thread(_script, state, request)
    return Order(request, settings, script, name, rate, ignored, fields.word_timestamps)


def _script(state: ServerState, request: Request) -> Script:
    try:
        script = state.tts.script(request.text, request.settings, request.language)
        text_notices(script)
    except InputError as error:
        param = "language" if "language" in error.fields else "input"
        raise ApiError(400, str(error), param) from error
    return script


def ignored_fields(state: ServerState, fields: Any) -> tuple[str, ...]:
    """Unknown fields, where the server ignores them.

    Raises:
        ApiError: naming them, where it does not.
    """
    unknown = unknown_fields(fields)
    if fixed := [name for name in unknown if name in FIXED]:
        raise ApiError(
            400,
            f"{fixed[0]} is the server's: it has one set of programs for all requests",
            fixed[0],
        )
    if unknown and not state.options.lenient:
        shown = ", ".join(f"{name:.40}" for name in unknown[:8])
        raise ApiError(400, f"unknown field: {shown}", unknown[0][:40])
    return tuple(unknown)


def check_text(state: ServerState, text: str) -> None:
    """Raises an ApiError for a text that is empty, too long, or not text."""
    if not text.strip():
        raise ApiError(400, "input is empty: there is nothing to speak", "input")
    if len(text) > (most := state.options.text_characters):
        raise ApiError(
            400, f"input has {len(text):,} characters, the most allowed is {most:,}", "input"
        )
    if "\0" in text:
        raise ApiError(400, "input holds NUL characters", "input")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ApiError(
            400, f"input is not Unicode at character {error.start + 1}", "input"
        ) from error


def settings_of(state: ServerState, fields: Delivery) -> Settings:
    """The server's settings with what the fields change.

    Raises:
        ApiError, InputError: for what cannot be done.
    """
    if not SLOWEST <= fields.speed <= FASTEST:
        raise ApiError(400, f"speed must be {SLOWEST} to {FASTEST}, got {fields.speed:g}", "speed")
    given: dict[str, Any] = {name: getattr(fields, name) for name in SAMPLING}
    sampling: SamplingConfig = dataclasses.replace(
        state.settings.sampling,
        **{name: value for name, value in given.items() if value is not None},
    )
    usual = state.settings
    return dataclasses.replace(
        usual,
        sampling=sampling,
        timing=Timing(speed=fields.speed),
        chunks=_chunks(state, fields),
        pause=usual.pause if fields.pause is None else fields.pause,
        glossary=usual.glossary if fields.glossary is None else glossary_of(fields.glossary),
    )


def _chunks(state: ServerState, fields: Delivery) -> Chunks | None:
    """How the stream is cut: as the server's, with the first chunk of the request."""
    usual, given = state.settings.chunks, fields.chunk
    if given is None:
        return usual
    if usual is None or (given.seams is not None and given.seams != usual.seams):
        shown = "it streams whole segments" if usual is None else f"its seams are {usual.seams}"
        raise ApiError(400, f"chunk is fixed on this server: {shown}", "chunk")
    try:
        return dataclasses.replace(usual, first=given.first)
    except InputError as error:
        raise ApiError(400, str(error), "chunk.first") from error


def glossary_of(terms: dict[str, Any]) -> Glossary:
    """Raises an ApiError for terms that cannot be read."""
    try:
        return Glossary.of(terms)
    except InputError as error:
        raise ApiError(400, str(error), "glossary") from error


async def _voice(state: ServerState, given: str | VoiceId | None) -> tuple[str, Voice]:
    if given is None:
        known = ", ".join(await asyncio.to_thread(state.voices.names)) or "none yet"
        raise ApiError(400, f"voice is missing; voices: {known}", "voice")
    return await state.voices.voice(given.id if isinstance(given, VoiceId) else given)


async def _emotion(state: ServerState, fields: Delivery) -> Emotion:
    given = fields.emotion or EmotionFields()
    words = given.text
    if fields.instructions is not None and fields.instructions.strip():
        if fields.emotion is not None:
            raise ApiError(400, "give either instructions or emotion", "instructions")
        words = fields.instructions
    sources = [value for value in (words, given.weights, given.recording) if value is not None]
    if len(sources) > 1:
        raise ApiError(400, "give one of text, weights and recording", "emotion")
    if words is not None and state.tts.reader is None:
        param = "emotion.text" if given.text is not None else "instructions"
        raise ApiError(
            400, f"{param}: this server does not read emotion from words (--reads_emotion)", param
        )
    prompt = None
    if given.recording is not None:
        _, voice = await state.voices.voice(given.recording)
        prompt = EmotionPrompt(voice.own, voice.source, voice.start)
    try:
        return Emotion(text=words, weights=given.weights, prompt=prompt, alpha=given.alpha)
    except InputError as error:
        raise ApiError(400, str(error), "emotion") from error


class Speaking:
    """A request in the engine, from the first sound to the last."""

    def __init__(self, state: ServerState, order: Order, began: float):
        self.state, self.order, self.began = state, order, began
        self.job: Job | None = None
        self.cold = False
        self.first: float | None = None  # seconds from `began` to the first sound
        self.wait = 0.0  # seconds that a player should buffer
        self.finished: Finished | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._listener = Listener(began)
        self._taken = 0.0

    async def begin(self, owner: str, *, streamed: bool = True) -> None:
        """Admits the request, and gives it to the engine.

        Raises:
            ApiError: if it cannot be taken now; InputError, if the emotion cannot be read.
        """
        state, engine = self.state, self.state.engine
        state.check_ready()
        admit(engine.load(), state.reserved, engine.settings.batch, state.options)
        expected = self.order.expected
        state.reserved.append(expected)
        try:
            self.cold = not engine.loaded
            prepare = await asyncio.to_thread(
                state.tts.prepared, self.order.request, timings=self.order.timings
            )
            script = await asyncio.wrap_future(engine.call(lambda: prepare(Clock())))
            loop = asyncio.get_running_loop()

            def sink(event: Event) -> None:
                try:
                    loop.call_soon_threadsafe(self._events.put_nowait, event)
                except RuntimeError:  # the loop is closed: nobody listens any more
                    self.cancel()

            self.job = engine.submit(
                LiveRequest(
                    script=script,
                    settings=self.order.settings,
                    sink=sink,
                    owner=owner,
                    streamed=streamed,
                    ahead=state.options.ahead if streamed else None,
                )
            )
        except Failure as error:
            raise ApiError(503, str(error), code="engine_failed") from error
        finally:
            state.reserved.remove(expected)

    async def sounds(self) -> AsyncIterator[Sound]:
        """The sounds, in order.

        Raises:
            Exception: whatever the engine failed with.
        """
        while not isinstance(event := await self._events.get(), Finished):
            if isinstance(event, Broken):
                raise event.error
            if self.first is None:
                self.first, self.wait = time.monotonic() - self.began, event.prebuffer
                self.state.metrics.first_sound.observe(self.first)
            yield event
        self.finished = event

    def sent(self, sound: Sound) -> None:
        """Notes that a sound was passed on to the client."""
        seconds = len(sound.samples) / self.state.tts.sample_rate
        self._taken += seconds
        if self.job is not None:
            self.job.take(self._taken)
        now = time.monotonic()
        listener = self._listener
        listener.prebuffer, before = self.wait, len(listener.gaps)
        listener.hear(now, seconds)
        for gap in listener.gaps[before:]:
            self.state.metrics.underruns.inc()
            self.state.metrics.gaps.observe(gap)

    def cancel(self) -> None:
        """Ends the work; nothing happens if it is done."""
        if self.job is not None and not self.job.done:
            self.state.engine.cancel(self.job)

    def stop(self) -> None:
        """Ends `sounds` with an error, for whoever waits for the next."""
        self._events.put_nowait(Broken(Failure("it was cancelled")))

    def notes(self) -> dict[str, Any]:
        """What the log says about it."""
        job, order = self.job, self.order
        done = job.emitted if job is not None else []
        faults = sorted({fault.kind for segment in done for fault in segment.faults})
        seconds = job.seconds if job is not None else 0.0
        spent = time.monotonic() - self.began
        return {
            "voice": order.voice,
            "characters": len(order.request.text),
            "seed": order.request.seed,
            "codes": sum(segment.codes for segment in done),
            "audio": round(seconds, 3),
            "first_audio": None if self.first is None else round(self.first, 4),
            "rtf": round(spent / seconds, 3) if seconds else None,
            "underruns": len(self._listener.gaps),
            "faults": faults or None,
            "cancelled": True if job is not None and job.cancelled else None,
            "text": order.request.text if self.state.options.log_text else None,
        }

    def headers(self) -> dict[str, str]:
        """The headers of its answer; complete after the first sound."""
        found = {
            "x-sample-rate": str(self.order.rate),
            "x-seed": str(self.order.request.seed),
            "x-prebuffer-seconds": f"{self.wait:.3f}",
            "x-accel-buffering": "no",
            "cache-control": "no-store",
        }
        if self.first is not None:
            found["x-first-audio-ms"] = str(round(1000 * self.first))
        if self.cold:
            found["x-cold"] = "1"
        if self.order.ignored:
            shown = ",".join(name for name in self.order.ignored if name.isascii())
            found["x-indextts-ignored"] = "".join(c for c in shown if c.isprintable())[:400]
        return found

    def usage(self) -> dict[str, int]:
        """Text tokens in, codes out."""
        assert self.finished is not None
        codes = sum(segment.codes for segment in self.finished.segments)
        tokens = self.order.tokens
        return {"input_tokens": tokens, "output_tokens": codes, "total_tokens": tokens + codes}
