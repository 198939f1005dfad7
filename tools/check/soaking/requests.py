"""A mix of requests: texts of every length, voices, emotions, seeds, ways to choose codes."""

import dataclasses
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32

from indextts_jax.audio.io import load_audio
from indextts_jax.audio.output import write_audio
from indextts_jax.emotion.request import Emotion
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.sampling.generate import SamplingConfig
from indextts_jax.voices.analysis import EmotionPrompt, Voice

STORY = """
    the old house stood by a river where every child knew how to swim and nobody asked why there
    was no bridge until one morning winter came early and the water turned to glass
"""
WORDS = STORY.split()
ENDS = ".", "!", "?", ",", ";"
WAYS = (  # to choose codes
    SamplingConfig(),
    SamplingConfig(beams=1),
    SamplingConfig(beams=1, sample=False),
    SamplingConfig(beams=2, sample=False),
)
CLIPS = 1.0, 2.0, 3.5, 5.0  # seconds of one recording that stand for voices


@dataclasses.dataclass(frozen=True)
class Request:
    """The arguments of `speak`, with voice and settings by number."""

    text: str
    voice: int
    way: int
    seed: int
    emotion: str  # "own", "prompt" or "weights"
    alpha: float
    temperature: float
    guidance: float


def sentence(generator: random.Random, words: int) -> str:
    """A sentence of `words` words, with punctuation now and then."""
    parts = [
        generator.choice(WORDS) + (generator.choice(ENDS) if generator.random() < 0.15 else "")
        for _ in range(words)
    ]
    return " ".join(parts).rstrip("".join(ENDS)).capitalize() + "."


def requests(count: int, voices: int, seed: int) -> list[Request]:
    """Requests of one word up to several segments; the same seed gives the same ones."""
    generator = random.Random(seed)

    def one() -> Request:
        most = generator.choice((3, 12, 12, 30, 30, 120))
        return Request(
            text=sentence(generator, generator.randint(1, most)),
            voice=generator.randrange(voices),
            way=generator.randrange(len(WAYS)),
            seed=generator.randrange(2**32),
            emotion=generator.choice(("own", "prompt", "weights")),
            alpha=round(generator.random(), 3),
            temperature=round(generator.uniform(0.5, 1.2), 3),
            guidance=round(generator.uniform(0.3, 1.0), 3),
        )

    return [one() for _ in range(count)]


def settings(way: int, request: Request | None = None, **more: int | None) -> Settings:
    """The settings of one of the ways, with the numbers of a request."""
    numbers = {"temperature": request.temperature} if request else {}
    flow = {"guidance": request.guidance} if request else {}
    return Settings(sampling=dataclasses.replace(WAYS[way], **numbers), **flow, **more)


def speak(
    tts: IndexTTS, voices: Sequence[Voice], request: Request, **more: int | None
) -> Float32[np.ndarray, " n"]:
    """The samples of the request; none if a model of random weights stops at once."""
    groups = len(tts.model.config.emotion_prototypes.groups)
    alpha = request.alpha
    emotion = {
        "own": Emotion(),
        "prompt": Emotion(
            prompt=EmotionPrompt(voices[request.seed % len(voices)].own), alpha=alpha
        ),
        "weights": Emotion(weights=(request.temperature / groups,) * groups, alpha=alpha),
    }[request.emotion]
    try:
        return tts.speak(
            request.text,
            voices[request.voice],
            settings=settings(request.way, request, **more),
            seed=request.seed,
            emotion=emotion,
        ).samples
    except RuntimeError as error:
        if "no code" not in str(error):
            raise
        return np.zeros(0, np.float32)


def clips(recordings: Sequence[Path]) -> Iterator[Path]:
    """The recordings; a single one is cut into clips of growing length, in a temporary directory.

    Raises:
        InputError: if a recording cannot be read.
    """
    if len(recordings) > 1:
        yield from recordings
        return
    (recording,) = recordings
    rate = soundfile.info(recording).samplerate
    signal = load_audio(recording, rate)
    with tempfile.TemporaryDirectory() as folder:
        for seconds in CLIPS:
            size = int(seconds * rate)
            path = Path(folder) / f"{seconds}.wav"
            write_audio(path, np.resize(signal, size), rate)
            yield path
