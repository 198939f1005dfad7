"""From a text and a voice to a waveform: the whole path as plain calls."""

import dataclasses
import functools
import random
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Float

from indextts_jax.audio.features import log_mel
from indextts_jax.audio.quality import FIRST, excerpt_of
from indextts_jax.emotion.blend import check_emotion, emotion_vector
from indextts_jax.emotion.reader import EmotionReader, Reading
from indextts_jax.emotion.request import choose, told
from indextts_jax.emotion.vectors import (
    normalize_weights,
    random_rows,
)
from indextts_jax.engine.delivery import Job, deliver_many
from indextts_jax.engine.parts import Part, Progress, deliver
from indextts_jax.engine.request import Utterance
from indextts_jax.engine.seeds import check_seed
from indextts_jax.engine.settings import Settings, code_limit, segment_limit
from indextts_jax.engine.speech import Speech
from indextts_jax.errors import Failure, InputError, PromptWarning
from indextts_jax.models.components import ENCODERS
from indextts_jax.runtime.model import Model, load_model
from indextts_jax.runtime.sharding import spread_over
from indextts_jax.text.frontend import Script, TextFrontend
from indextts_jax.text.notices import notify_text
from indextts_jax.utils.notices import notify
from indextts_jax.utils.stopwatch import Clock, Watch
from indextts_jax.voices.analysis import Voice, analyse_emotion, analyse_voice


def _listened(path: str | Path, excerpt: str | float) -> float:
    """The second where the excerpt of a prompt begins; warns of what may spoil it."""
    heard = excerpt_of(path, excerpt)
    for line in heard.warnings:
        notify(line, PromptWarning)
    return heard.start


@functools.lru_cache(maxsize=2)  # a text is looked at before it is spoken
def _prepared(frontend: TextFrontend, text: str) -> Script:
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
        fused_attention: bool = False,
    ) -> "IndexTTS":
        """The model of an imported checkpoint; see `load_model`.

        With `reads_emotion`, also the one that reads emotion from words (2.4 GB in float32). With
        `devices`, each of them holds the model, and they share the rows of batches.
        """
        reader = EmotionReader.load(path, dtype) if reads_emotion else None
        model = load_model(path, dtype=dtype, fused_attention=fused_attention)
        return cls(model if devices is None else spread_over(model, devices), reader)

    @property
    def sample_rate(self) -> int:
        """Samples a second (Hz) of all that is spoken."""
        return self.model.config.mel.sample_rate

    def voice(
        self, path: str | Path, clock: Clock | None = None, *, excerpt: str | float = FIRST
    ) -> Voice:
        """The analysis of a speaker prompt (WAV, FLAC, OGG or MP3).

        Of a recording that is longer than 15 s, the `excerpt` is heard: `first`, as the reference
        has it, `loudest`, the 15 s of most energy, or those from a second on. What may spoil the
        voice (clipping, a low level, silence, few seconds) is told by a `PromptWarning`.

        Raises:
            InputError: for a recording that cannot be a prompt.
        """
        start = _listened(path, excerpt)
        with jax.default_device(self.model.device):
            return analyse_voice(self.model, path, clock, start)

    def emotion(
        self,
        path: str | Path,
        clock: Clock | None = None,
        *,
        excerpt: str | float = FIRST,
        voice: Voice | None = None,
    ) -> Float[Array, "1 d"]:
        """The emotion vector of an emotion prompt, for `speak`; the rest is as with `voice`.

        Where the recording is that of `voice`, its vector is there already.
        """
        start = _listened(path, excerpt)
        with jax.default_device(self.model.device):
            return analyse_emotion(self.model, path, clock, start, voice)

    def release_encoders(self) -> None:
        """Frees the memory of what only prompts need; the next prompt loads it again."""
        self.model.release(ENCODERS)

    def mel(self, samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, "f m"]:
        """The log-mel spectrogram of samples at `sample_rate`, such as `Speech.samples`."""
        return log_mel(np.asarray(samples, np.float32), self.model.config.mel)

    def read_emotion(self, text: str) -> Reading:
        """The eight weights that a text, or a description of an emotion, stands for.

        Raises:
            InputError: if the model was loaded without `reads_emotion`, or cannot read the text.
            ReplyError: if the reply cannot be understood.
        """
        return self._emotion_reader().read(text)

    def _emotion_reader(self) -> EmotionReader:
        if self.reader is None:
            raise InputError("emotion_text needs a model loaded with reads_emotion=True")
        return self.reader

    def segments(self, text: str, limit: int | None = None) -> list[list[int]]:
        """Text tokens of each segment of a text.

        Raises:
            InputError: if nothing in the text can be spoken.
        """
        script = self.script(text, Settings(segment_tokens=limit))
        return [list(segment.ids) for segment in script.segments]

    def script(self, text: str, settings: Settings | None = None) -> Script:
        """What will be read of a text: words, segments, pauses, and what is odd about it.

        Raises:
            InputError: if nothing in the text can be spoken, or it is refused.
        """
        settings = settings or Settings()
        size = segment_limit(self.model, settings.segment_tokens)
        script = _prepared(TextFrontend(self.model.tokenizer, settings.reading(size)), text)
        if not script.segments:
            raise InputError("the text is empty: there is nothing to speak")
        return script

    def check(
        self,
        text: str,
        settings: Settings,
        *,
        emotion: bool = False,
        emotion_alpha: float | None = None,
        emotion_weights: Sequence[float] | None = None,
    ) -> None:
        """Makes sure, before any long work, that `speak` will not refuse what it is given.

        Raises:
            InputError: as `speak` would, and for an emotion that it would not use; `emotion` says
                whether there is an emotion prompt.
        """
        self.script(text, settings)
        code_limit(self.model, settings)
        check_emotion(self.model, emotion, emotion_alpha, emotion_weights)

    def unknown(self, text: str) -> list[str]:
        """The pieces of a text that the tokenizer does not know: they are not spoken as written."""
        return [unknown.piece for unknown in self.script(text).unknown]

    def stream(
        self,
        text: str,
        voice: Voice,
        *,
        emotion: Float[Array, "1 d"] | None = None,
        emotion_alpha: float | None = None,
        emotion_weights: Sequence[float] | None = None,
        emotion_text: str | None = None,
        emotion_random: bool = False,
        emotion_bias: bool = False,
        settings: Settings | None = None,
        seed: int = 0,
        watch: Watch | None = None,
        progress: Progress | None = None,
    ) -> Generator[Part, None, None]:
        """The text in that voice, segment by segment, each as soon as it is spoken.

        What it takes is described at `speak`, whose samples are those of all parts in order. What
        cannot be done is refused at once; all work is done as the parts are asked for. `progress`
        is told how many segments of how many are done, `watch` the name of each stage as it
        begins. To cancel, stop iterating, or raise in either. With `settings.timing.duration` the
        first part waits for the codes of all segments.

        Raises:
            InputError, ReplyError: as `speak`.
        """
        one = Utterance(
            text=text,
            voice=voice,
            seed=seed,
            emotion=emotion,
            emotion_alpha=emotion_alpha,
            emotion_weights=emotion_weights,
            emotion_text=emotion_text,
            emotion_random=emotion_random,
            emotion_bias=emotion_bias,
        )
        return self._stream(one, settings or Settings(), watch, progress, in_order=True)

    def _stream(
        self,
        one: Utterance,
        settings: Settings,
        watch: Watch | None,
        progress: Progress | None,
        *,
        in_order: bool,
    ) -> Generator[Part, None, None]:
        """The parts in order; or with the settings' batch, as they are ready."""
        prepare = self._prepare(one, settings)

        def parts() -> Generator[Part, None, None]:
            clock = Clock(watch)
            job = prepare(clock)
            if settings.batch == 1:
                given = (self.model, job.script, job.voice, job.emotion, settings, job.seed)
                yield from deliver(*given, clock, progress)
                return
            many = deliver_many(self.model, [job], settings, clock, progress, in_order=in_order)
            if in_order:
                yield from (part for _, _, part in many)
            else:
                by_index = sorted(many, key=lambda found: found[1])
                yield from (part for _, _, part in by_index)

        return parts()

    def _prepare(self, one: Utterance, settings: Settings) -> Callable[[Clock], Job]:
        """What makes the work of a request; the request itself is refused here if it must be."""
        alpha, weights, prompt = one.emotion_alpha, one.emotion_weights, one.emotion
        choice = choose(
            text=one.emotion_text is not None,
            weights=weights is not None,
            prompt=prompt is not None,
            alpha=alpha is not None,
            random=one.emotion_random,
            bias=one.emotion_bias,
        )
        if choice.unused:
            notify(told(choice))
        if choice.mode == "own":
            alpha = None
        if choice.mode != "prompt":
            prompt = None
        given = None if choice.mode == "text" else weights
        check_emotion(self.model, choice.mode in ("prompt", "text"), alpha, given)
        if choice.mode == "weights" and one.emotion_bias and weights is not None:
            weights = normalize_weights(weights)
        check_seed(one.seed)
        code_limit(self.model, settings)
        script = self.script(one.text, settings)
        notify_text(script)
        if one.emotion_text is not None:
            self._emotion_reader()

        def job(clock: Clock) -> Job:
            chosen = weights
            if one.emotion_text is not None:
                with clock.stage("emotion from words"):
                    chosen = self.read_emotion(one.emotion_text).weights
            groups = self.model.config.emotion_prototypes.groups
            rows = random_rows(groups, random.Random(one.seed)) if one.emotion_random else None
            # The default device is a thread's own setting: the model's decides, whichever asks.
            with jax.default_device(self.model.device):
                vector = emotion_vector(self.model, one.voice, prompt, alpha, chosen, rows)
            return Job(script, one.voice, vector, one.seed)

        return job

    def stream_many(
        self,
        utterances: Sequence[Utterance],
        *,
        settings: Settings | None = None,
        watch: Watch | None = None,
        progress: Progress | None = None,
    ) -> Generator[tuple[int, Speech], None, None]:
        """Speeches of many requests, each with its number, as soon as it is there.

        `settings.batch` segments are spoken at once, whichever requests they belong to:

            lines = [Utterance(text=text, voice=anna, seed=n) for n, text in enumerate(texts)]
            for number, speech in tts.stream_many(lines, settings=Settings(batch=16)):
                speech.save(f"{number}.wav")

        The codes of a request are those that it has alone, its samples to rounding. The same
        requests with the same settings give the same bits. `progress` counts the segments of all;
        to cancel, stop iterating.

        Raises:
            InputError, ReplyError: as `speak`, naming the request.
        """
        settings = settings or Settings()
        prepared = []
        for number, one in enumerate(utterances):
            try:
                prepared.append(self._prepare(one, settings))
            except InputError as error:
                raise InputError(f"request {number} (from 0): {error}") from error

        def speeches() -> Generator[tuple[int, Speech], None, None]:
            clock = Clock(watch)
            jobs = [prepare(clock) for prepare in prepared]
            found: dict[int, dict[int, Part]] = {number: {} for number in range(len(jobs))}
            many = deliver_many(self.model, jobs, settings, clock, progress)
            for number, index, part in many:
                found[number][index] = part
                if len(found[number]) == len(jobs[number].script.segments):
                    parts = found.pop(number)
                    yield number, self._joined([parts[i] for i in sorted(parts)])

        return speeches()

    def speak_many(
        self,
        utterances: Sequence[Utterance],
        *,
        settings: Settings | None = None,
        watch: Watch | None = None,
        progress: Progress | None = None,
    ) -> list[Speech]:
        """The speech of each request, in their order; see `stream_many`."""
        many = self.stream_many(utterances, settings=settings, watch=watch, progress=progress)
        return [speech for _, speech in sorted(many, key=lambda found: found[0])]

    def speak(
        self,
        text: str,
        voice: Voice,
        *,
        emotion: Float[Array, "1 d"] | None = None,
        emotion_alpha: float | None = None,
        emotion_weights: Sequence[float] | None = None,
        emotion_text: str | None = None,
        emotion_random: bool = False,
        emotion_bias: bool = False,
        settings: Settings | None = None,
        seed: int = 0,
        watch: Watch | None = None,
        progress: Progress | None = None,
    ) -> Speech:
        """The text in that voice; the same seed gives the same waveform.

        The emotion is the voice's own, or that of an emotion prompt (`emotion`, blended by
        `emotion_alpha`), or given by eight weights (`emotion_weights`): happy, angry, sad, afraid,
        disgusted, melancholic, surprised, calm; or read from words (`emotion_text`: a description,
        or the text itself). Words go before weights, weights before a prompt, as in the reference:
        what is then not used is told by a warning.

        `emotion_alpha` scales weights too. `emotion_random` draws the stored emotion vectors by the
        seed, instead of those that suit the voice; `emotion_bias` changes given weights as the
        reference's web interface does (see `normalize_weights`).

        What is odd about the text (pieces that the tokenizer does not know, syllables that do not
        exist) is told by a `TextWarning`. `watch` and `progress` are those of `stream`.

        Raises:
            InputError: for what exceeds the model's tables or cannot be used.
            Failure: if the model says nothing at all.
            ReplyError: if the emotion model's reply cannot be understood.
        """
        one = Utterance(
            text=text,
            voice=voice,
            seed=seed,
            emotion=emotion,
            emotion_alpha=emotion_alpha,
            emotion_weights=emotion_weights,
            emotion_text=emotion_text,
            emotion_random=emotion_random,
            emotion_bias=emotion_bias,
        )
        parts = list(self._stream(one, settings or Settings(), watch, progress, in_order=False))
        if not any(part.segment.codes for part in parts):
            raise Failure("the model said nothing at all: try another --seed")
        return self._joined(parts)

    def _joined(self, parts: Sequence[Part]) -> Speech:
        """The speech of its parts."""
        seconds: dict[str, float] = {}
        for part in parts:
            for stage, spent in part.seconds.items():
                seconds[stage] = seconds.get(stage, 0.0) + spent
        samples = np.concatenate([part.samples for part in parts])
        segments = tuple(part.segment for part in parts)
        return Speech(samples, self.sample_rate, segments, seconds)
