"""From a text and a voice to a waveform: the public API."""

import dataclasses
import functools
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from indextts_jax.audio.features import log_mel
from indextts_jax.audio.quality import FIRST, excerpt_of
from indextts_jax.config import RunConfig
from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.emotion.reader import EmotionReader, Reading
from indextts_jax.emotion.request import Emotion, explain_unused, weight_warnings
from indextts_jax.engine.alignment.words import heads_of, joined_words, words_of
from indextts_jax.engine.delivery import ScriptRequest, deliver
from indextts_jax.engine.parts import Part, Progress
from indextts_jax.engine.request import Request
from indextts_jax.engine.segment_store import SegmentStore
from indextts_jax.engine.settings import Settings, max_codes_of, segment_limit, settings_of
from indextts_jax.engine.speech import Speech
from indextts_jax.engine.streaming.chunks import Sound
from indextts_jax.engine.streaming.stream import check_device, stream_sounds
from indextts_jax.errors import EmotionWarning, Failure, InputError, PromptWarning
from indextts_jax.models.components import ENCODERS, SPEAKING
from indextts_jax.runtime.adapters import AppliedAdapter
from indextts_jax.runtime.model import Model, load_model
from indextts_jax.runtime.sharding import replicate
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.text.frontend import Script
from indextts_jax.text.notices import notify_text
from indextts_jax.utils.notices import notify
from indextts_jax.utils.stopwatch import Clock, StageCallback
from indextts_jax.voices.analysis import EmotionPrompt, Voice, analyse_emotion, analyse_voice


@functools.lru_cache(maxsize=2)  # a text is checked before it is spoken: normalize it once
def _prepared(frontend: Any, text: str) -> Script:
    return frontend.prepare(text)


@dataclasses.dataclass(frozen=True)
class IndexTTS:
    """A model that speaks: load once, speak many times. Calls share no state: threads may share it.

    tts = IndexTTS.load("indextts2")
    anna = tts.voice("anna.wav")
    tts.speak("Good morning.", anna).save("morning.wav")
    """

    model: Model
    reader: EmotionReader | None = None  # reads emotion from words

    @classmethod
    def load(
        cls,
        path: str | Path,
        dtype: str | None = None,
        *,
        reads_emotion: bool = False,
        devices: Sequence[jax.Device] | None = None,
        fused_attention: bool | None = None,
        adapters: Sequence[AppliedAdapter] = (),
    ) -> "IndexTTS":
        """The model of an imported checkpoint, with adapters merged into it; see `load_model`.

        With `reads_emotion`, also the model that reads emotion from text (2.4 GB in float32). With
        `devices`, each of them holds the model, and batches are sharded over them.
        """
        reader = EmotionReader.load(path, dtype) if reads_emotion else None
        run = RunConfig(dtype=dtype, fused_attention=fused_attention)
        model = load_model(path, run, adapters=adapters)
        return cls(model if devices is None else replicate(model, devices), reader)

    @classmethod
    def open(
        cls,
        path: str | Path,
        run: RunConfig | None = None,
        *,
        adapters: Sequence[AppliedAdapter] = (),
    ) -> "IndexTTS":
        """As `load`, with the least memory: each component is loaded on first use.

        `release_encoders` and `fetch` free and load components between analysis and speech.
        """
        return cls(load_model(path, run, lazy=True, adapters=adapters))

    @property
    def sample_rate(self) -> int:
        """Sample rate of the speech, in Hz."""
        return self.model.config.mel.sample_rate

    @property
    def settings(self) -> Settings:
        """Settings used when a call gives none: the checkpoint's, or the reference's."""
        return settings_of(self.model.settings)

    def voice(
        self, path: str | Path, clock: Clock | None = None, *, excerpt: str | float = FIRST
    ) -> Voice:
        """The analysis of a speaker prompt (WAV, FLAC, OGG or MP3).

        Of a recording longer than 15 s only the `excerpt` is used: `first` (as in the reference),
        `loudest` (the 15 s with the most energy), or the second at which it begins. A
        `PromptWarning` reports clipping, a low level, silence or too few seconds.

        Raises:
            InputError: for a recording that cannot be used as a prompt.
        """
        start = self._excerpt_start(path, excerpt)
        with jax.default_device(self.model.device):
            return analyse_voice(self.model, path, clock, start)

    def emotion(
        self,
        path: str | Path,
        clock: Clock | None = None,
        *,
        excerpt: str | float = FIRST,
        voice: Voice | None = None,
    ) -> EmotionPrompt:
        """The analysis of an emotion prompt, for `Emotion`; otherwise as `voice`.

        If the recording is that of `voice`, its vector is reused.
        """
        start = self._excerpt_start(path, excerpt)
        with jax.default_device(self.model.device):
            return analyse_emotion(self.model, path, clock, start, voice)

    def _excerpt_start(self, path: str | Path, excerpt: str | float) -> float:
        """The second at which the excerpt of a prompt begins; warns about its quality."""
        found = excerpt_of(path, excerpt, self.model.config.limits.prompt_seconds)
        for line in found.warnings:
            notify(line, PromptWarning)
        return found.start

    def release_encoders(self) -> None:
        """Frees the components that only analyse prompts; the next prompt loads them again."""
        self.model.release(ENCODERS)

    def fetch(self) -> None:
        """Loads the components for speaking now, rather than on first use."""
        self.model.fetch(SPEAKING)

    def mel(self, samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, "f m"]:
        """The log-mel spectrogram of samples at `sample_rate`, such as `Speech.samples`."""
        return log_mel(np.asarray(samples, np.float32), self.model.config.mel)

    def read_emotion(self, text: str) -> Reading:
        """The eight emotion weights of a text, or of a description of an emotion.

        Raises:
            InputError: if the model was loaded without `reads_emotion`, or cannot read the text.
            ReplyError: if the reply cannot be understood.
        """
        return self._emotion_reader().read(text)

    def _emotion_reader(self) -> EmotionReader:
        if self.reader is None:
            raise InputError("emotion_text needs a model loaded with reads_emotion=True")
        return self.reader

    def segments(
        self, text: str, limit: int | None = None, language: str | None = None
    ) -> list[list[int]]:
        """Text tokens of each segment of a text; `language` as in `Request`.

        Raises:
            InputError: if nothing in the text can be spoken.
        """
        settings = self.settings
        if limit is not None:
            settings = dataclasses.replace(settings, segment_tokens=limit)
        script = self.script(text, settings, language)
        return [list(segment.ids) for segment in script.segments]

    def script(
        self, text: str, settings: Settings | None = None, language: str | None = None
    ) -> Script:
        """How a text will be read: segments, pauses and warnings; `language` as in `Request`.

        Raises:
            InputError: if nothing in the text can be spoken, it is rejected, or the version does
                not take the language.
        """
        settings = settings or self.settings
        size = segment_limit(self.model, settings.segment_tokens)
        version = version_of(self.model.config)
        reader: Any = version.frontend(self.model.tokenizer, settings.reading(size), language)
        script = _prepared(reader, text)
        if not script.segments:
            raise InputError("the text is empty: there is nothing to speak")
        return script

    def check(self, text: str, settings: Settings, language: str | None = None) -> None:
        """Checks, before any long work, that `speak` will accept a text.

        Raises:
            InputError: as `speak` would.
        """
        self.script(text, settings, language)
        max_codes_of(self.model, settings)

    def longest_segment(self, settings: Settings) -> float:
        """Seconds of the longest segment that the settings and the model allow."""
        return max_codes_of(self.model, settings) / self.model.config.codes_per_second

    def unknown(self, text: str) -> list[str]:
        """The pieces of a text that the tokenizer does not know; they are not spoken as written."""
        return [unknown.piece for unknown in self.script(text).unknown]

    def stream(
        self,
        what: str | Request,
        voice: Voice | None = None,
        /,
        *,
        emotion: Emotion | EmotionPrompt | None = None,
        settings: Settings | None = None,
        seed: int | None = None,
        language: str | None = None,
        timings: bool = False,
        on_stage: StageCallback | None = None,
        progress: Progress | None = None,
    ) -> Generator[Any, None, None]:
        """Yields the parts of `speak`, segment by segment, each (a `Part`) as soon as it is ready.

        Invalid requests raise at once; the work is done lazily, as the parts are iterated.
        `progress` is called with the segments done and in all, `on_stage` with the name of each
        stage as it begins. To cancel, stop iterating, or raise in either callback. With
        `settings.timing.duration` the first part waits for the codes of all segments. With
        `timings`, each part has its words with their times, in seconds of its own samples.

        With `settings.chunks` it yields `Sound`s instead: the first before its segment is finished,
        all of them together the whole output. They have the codes of `speak`. With `timings` the
        last one of each segment has its words, in seconds of the whole output.

        Raises:
            InputError, ReplyError: as `speak`.
        """
        options = {"emotion": emotion, "settings": settings, "seed": seed, "language": language}
        request = _request(what, voice, **options)
        if (request.settings or self.settings).chunks is not None:
            return self._sounds(request, on_stage, progress, timings=timings)
        return self._stream(request, on_stage, progress, in_order=True, timings=timings)

    def _sounds(
        self,
        request: Request,
        on_stage: StageCallback | None,
        progress: Progress | None,
        *,
        timings: bool,
    ) -> Generator[Sound, None, None]:
        """The sounds of a request, in text order."""
        settings = request.settings or self.settings
        check_device(self.model)
        prepare = self._prepare(request, settings, timings)

        def sounds() -> Generator[Sound, None, None]:
            clock = Clock(on_stage)
            yield from stream_sounds(self.model, prepare(clock), settings, clock, progress)

        return sounds()

    def _stream(
        self,
        request: Request,
        on_stage: StageCallback | None,
        progress: Progress | None,
        *,
        in_order: bool,
        timings: bool = False,
        store: SegmentStore | None = None,
    ) -> Generator[Part, None, None]:
        """The parts in text order; unless `in_order`, all are made before the first is yielded."""
        settings = request.settings or self.settings
        if store is not None and settings.timing.duration is not None:
            raise InputError(
                "a duration needs all segments at once: it cannot be combined with finished ones"
            )
        prepare = self._prepare(request, settings, timings)

        def parts() -> Generator[Part, None, None]:
            clock = Clock(on_stage)
            job = prepare(clock)
            # With one segment at a time, reordering gains nothing.
            ordered = in_order or settings.batch == 1
            ready = store.parts() if store is not None else {}
            done = [(0, index) for index in ready]
            many = deliver(
                self.model, [job], settings, clock, progress, in_order=ordered, done=done
            )
            made: Iterator[tuple[int, Part]] = ((index, part) for _, index, part in many)
            if store is not None:
                made = _written(made, store)
            if not ordered:
                made = iter(sorted(made, key=lambda found: found[0]))
            for index in range(len(job.script.segments)):
                yield ready[index] if index in ready else next(made)[1]

        return parts()

    def prepared(
        self, request: Request, *, timings: bool = False
    ) -> Callable[[Clock], ScriptRequest]:
        """Validates a request, without a device; returns what prepares it for a scheduler.

        The returned function uses the device: for the emotion vector, and for what that is made of.
        With `timings` the parts have the times of words.

        Raises:
            InputError: as `speak`.
        """
        return self._prepare(request, request.settings or self.settings, timings)

    def _prepare(
        self, request: Request, settings: Settings, timings: bool
    ) -> Callable[[Clock], ScriptRequest]:
        """Validates a request; returns the function that prepares it for the scheduler."""
        if request.emotion.unused:
            notify(explain_unused(request.emotion))
        for line in weight_warnings(request.emotion):
            notify(line, EmotionWarning)
        emotion = request.emotion.effective()
        max_codes_of(self.model, settings)
        script = self.script(request.text, settings, request.language)
        notify_text(script)
        if emotion.text is not None:
            self._emotion_reader()
        if timings:
            heads_of(self.model)  # refused here if they are not those of this model
        words = words_of(request.text, script) if timings else None

        def job(clock: Clock) -> ScriptRequest:
            chosen = emotion
            if emotion.text is not None:
                with clock.stage("emotion from text"):
                    weights = self.read_emotion(emotion.text).weights
                chosen = dataclasses.replace(emotion, text=None, weights=weights)
            elif isinstance(emotion.prompt, str | Path):
                analysed = self.emotion(emotion.prompt, clock, voice=request.voice)
                chosen = dataclasses.replace(emotion, prompt=analysed)
            # The default device is thread-local: use the model's in any thread.
            with jax.default_device(self.model.device):
                vector = emotion_vector(self.model, request.voice, chosen, request.seed)
            languages = version_of(self.model.config).language_of
            return ScriptRequest(script, request.voice, vector, request.seed, languages, words)

        return job

    def stream_many(
        self,
        requests: Sequence[Request],
        *,
        settings: Settings | None = None,
        timings: bool = False,
        on_stage: StageCallback | None = None,
        progress: Progress | None = None,
    ) -> Generator[tuple[int, Speech], None, None]:
        """Yields the speech of many requests, each with its index, as soon as it is ready.

        `settings.batch` segments are spoken at once, across requests:

            lines = [Request(text=text, voice=anna, seed=n) for n, text in enumerate(texts)]
            for number, speech in tts.stream_many(lines, settings=Settings(batch=16)):
                speech.save(f"{number}.wav")

        All requests share their settings: those given here, or those of the requests, which must
        agree. A request's codes are the same as alone, its samples the same up to rounding. The
        same requests with the same settings give the same bits. `progress` counts the segments of
        all requests; to cancel, stop iterating. `timings` is as in `speak`, for all of them.

        Raises:
            InputError, ReplyError: as `speak`, naming the request.
        """
        common = settings or (requests[0].settings if requests else None) or self.settings
        prepared = []
        for number, one in enumerate(requests):
            try:
                if settings is None and (one.settings or self.settings) != common:
                    raise InputError("its settings differ from those of request 0")
                prepared.append(self._prepare(one, common, timings))
            except InputError as error:
                raise InputError(f"request {number} (from 0): {error}") from error

        def speeches() -> Generator[tuple[int, Speech], None, None]:
            clock = Clock(on_stage)
            jobs = [prepare(clock) for prepare in prepared]
            found: dict[int, dict[int, Part]] = {number: {} for number in range(len(jobs))}
            many = deliver(self.model, jobs, common, clock, progress)
            for number, index, part in many:
                found[number][index] = part
                if len(found[number]) == len(jobs[number].script.segments):
                    parts = found.pop(number)
                    ordered = [parts[i] for i in sorted(parts)]
                    yield number, self._joined(ordered, requests[number].text)

        return speeches()

    def speak_many(
        self,
        requests: Sequence[Request],
        *,
        settings: Settings | None = None,
        timings: bool = False,
        on_stage: StageCallback | None = None,
        progress: Progress | None = None,
    ) -> list[Speech]:
        """The speech of each request, in order; see `stream_many`."""
        many = self.stream_many(
            requests, settings=settings, timings=timings, on_stage=on_stage, progress=progress
        )
        return [speech for _, speech in sorted(many, key=lambda found: found[0])]

    def speak(
        self,
        what: str | Request,
        voice: Voice | None = None,
        /,
        *,
        emotion: Emotion | EmotionPrompt | None = None,
        settings: Settings | None = None,
        seed: int | None = None,
        language: str | None = None,
        timings: bool = False,
        on_stage: StageCallback | None = None,
        progress: Progress | None = None,
        store: SegmentStore | None = None,
    ) -> Speech:
        """Speaks a text in a voice, or a request (which has its own options).

        The same seed (by default 0) gives the same waveform.

        `language` is that of the text, for IndexTTS-2.5: see `Request`.

        The emotion is the voice's own by default, or an `Emotion`, or an emotion prompt. A warning
        names options of it that have no effect. A `TextWarning` reports problems of the text:
        pieces that the tokenizer does not know, syllables that do not exist. `on_stage` and
        `progress` are those of `stream`. Finished segments are written to a `store`, and those that
        are there are not made again.

        With `timings`, `Speech.words` has every word of the text and when it is spoken. The samples
        are the same, bit for bit. The times come from attention if the checkpoint's heads were
        chosen (`python -m indextts_jax.align calibrate`), and are an estimate otherwise.

        Raises:
            InputError: for unusable input, or input beyond the model's limits.
            Failure: if the model says nothing at all.
            ReplyError: if the emotion model's reply cannot be understood.
        """
        options = {"emotion": emotion, "settings": settings, "seed": seed, "language": language}
        request = _request(what, voice, **options)
        stream = self._stream(
            request, on_stage, progress, in_order=False, timings=timings, store=store
        )
        return self.joined(list(stream), request.text)

    def joined(self, parts: Sequence[Part], text: str) -> Speech:
        """The speech of a text, from all parts that `stream` gave.

        Raises:
            Failure: if the model said nothing at all.
        """
        if not any(part.segment.codes for part in parts):
            raise Failure("the model said nothing at all: try another seed")
        return self._joined(parts, text)

    def _joined(self, parts: Sequence[Part], text: str) -> Speech:
        """Concatenates parts to a speech."""
        seconds: dict[str, float] = {}
        for part in parts:
            for stage, spent in part.seconds.items():
                seconds[stage] = seconds.get(stage, 0.0) + spent
        samples = np.concatenate([part.samples for part in parts])
        segments = tuple(part.segment for part in parts)
        words = None
        if all(part.words is not None for part in parts):
            timed = [(part.words or (), len(part.samples) / self.sample_rate) for part in parts]
            words = joined_words(timed)
        return Speech(samples, self.sample_rate, segments, seconds, text, words)


def _written(parts: Iterator[tuple[int, Part]], store: SegmentStore) -> Iterator[tuple[int, Part]]:
    """The parts, each written to the store as soon as it is made."""
    for index, part in parts:
        store.write(index, part)
        yield index, part


def _request(what: Any, voice: Any, **options: Any) -> Request:
    """The request described by the arguments of `speak`.

    Raises:
        TypeError: saying what to do, for an argument of another kind.
    """
    given = {name: option for name, option in options.items() if option is not None}
    if isinstance(what, Request):
        if voice is not None or given:
            raise TypeError("a request has its own voice, emotion, settings, seed and language")
        return what
    emotion = given.get("emotion")
    if emotion is not None and not isinstance(emotion, Emotion | EmotionPrompt):
        raise TypeError(
            f"an emotion is Emotion(prompt=RECORDING), Emotion(weights=...) or Emotion(text=...), "
            f"got {emotion!r:.200}"
        )
    if isinstance(emotion, EmotionPrompt):
        given["emotion"] = Emotion(prompt=given["emotion"])
    if isinstance(voice, str | Path):
        raise TypeError(
            f"speak and stream need an analysed voice, got {voice!r:.200}: voice = "
            f"tts.voice({str(voice)!r:.200}), once, then tts.speak(text, voice)"
        )
    if voice is None:
        raise TypeError("speak and stream need a voice: tts.voice(RECORDING) makes one")
    if not isinstance(what, str):
        raise TypeError(f"speak and stream need a text or a Request, got {type(what).__name__}")
    return Request(text=what, voice=voice, **given)
