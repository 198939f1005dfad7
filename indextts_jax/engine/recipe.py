"""Recipes: what an output was made with, stored in its file, and sufficient to reproduce it."""

import dataclasses
import hashlib
import json
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from indextts_jax.emotion.request import Emotion
from indextts_jax.engine.request import Request
from indextts_jax.engine.seeds import check_seed
from indextts_jax.engine.settings import Settings, settings_of
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS
from indextts_jax.runtime import devices
from indextts_jax.runtime.adapters import AdapterUse
from indextts_jax.runtime.model import Model
from indextts_jax.text.glossary import Glossary
from indextts_jax.utils import hashing
from indextts_jax.utils.hashing import FileHash, Version
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data
from indextts_jax.voices.analysis import EmotionPrompt, Voice
from indextts_jax.voices.store import LONGEST

FORMAT = 3  # a program reads its own format and older ones
_MARK = "indextts_jax "  # prefix of the comment
NOT_SPEAKING = ("text_emotion",)  # its result, the emotion weights, is in the recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A request, its recordings by name and hash, where it ran, and a hash of the samples."""

    format: int
    created: str  # UTC, ISO 8601
    versions: tuple[Version, ...]
    device: str
    checkpoint: str  # fingerprint of the components that speak
    adapters: tuple[AdapterUse, ...] = ()  # merged into them, in this order
    dtype: str | None  # as requested; None: float32 (format 1: the checkpoint's own)
    fused_attention: bool | None = False
    deterministic: bool = False
    samples: str  # SHA-256 of the float32 samples
    text: str
    speaker: FileHash
    speaker_start: float = 0.0  # second of the recording at which the excerpt begins
    emotion: Emotion
    seed: int
    settings: Settings
    language: str | None = None  # of the text, for IndexTTS-2.5

    def request(self, voice: Voice, prompt: EmotionPrompt | None) -> Request:
        """Rebuilds the request, given its analysed recordings."""
        emotion = dataclasses.replace(self.emotion, prompt=prompt)
        return Request(
            text=self.text,
            voice=voice,
            emotion=emotion,
            seed=self.seed,
            settings=self.settings,
            language=self.language,
        )


def fingerprint(model: Model) -> str:
    """The fingerprint of the components that speak.

    Raises:
        InputError: for a model that does not come from a checkpoint.
    """
    if model.provenance is None:
        raise InputError("random weights have no fingerprint")
    return model.provenance.fingerprint(name for name in COMPONENTS if name not in NOT_SPEAKING)


def hash_samples(samples: Float32[np.ndarray, " n"]) -> str:
    """SHA-256 of samples."""
    return hashlib.sha256(samples.astype("<f4").tobytes()).hexdigest()


def write_down(
    model: Model,
    request: Request,
    samples: Float32[np.ndarray, " n"],
    device: jax.Device,
    dtype: str | None,
) -> Recipe:
    """The recipe of samples that were just made.

    Raises:
        InputError: for a voice or an emotion prompt without a recording.
    """
    emotion = request.emotion.effective()
    if isinstance(emotion.prompt, EmotionPrompt):
        if emotion.prompt.source is None:
            raise InputError("an emotion prompt without a recording cannot be put into a recipe")
        emotion = dataclasses.replace(
            emotion, prompt=dataclasses.replace(emotion.prompt, vector=None)
        )
    if request.voice.source is None:
        raise InputError("a voice without a recording cannot be put into a recipe")
    return Recipe(
        format=FORMAT,
        created=hashing.now(),
        versions=hashing.versions(),
        device=devices.describe(device),
        checkpoint=fingerprint(model),
        adapters=model.adapters,
        dtype=dtype,
        fused_attention=model.run.fused_attention,
        deterministic=model.run.deterministic,
        samples=hash_samples(samples),
        text=request.text,
        speaker=request.voice.source,
        speaker_start=request.voice.start,
        emotion=emotion,
        seed=request.seed,
        settings=request.settings or settings_of(model.settings),
        language=request.language,
    )


def to_comment(recipe: Recipe) -> str:
    """The recipe as the comment of an audio file: one line of ASCII."""
    glossary = recipe.settings.glossary
    plain = dataclasses.replace(
        recipe, settings=dataclasses.replace(recipe.settings, glossary=None)
    )
    data = to_data(plain)
    # What came later is left out where it is not set, so that programs from before it read these.
    if recipe.language is None:
        del data["language"]
    if recipe.settings.chunks is None:
        del data["settings"]["chunks"]
    if recipe.settings.timing.duration_factor is None:
        del data["settings"]["timing"]["duration_factor"]
    if glossary is not None:
        data["glossary"] = {term: dict(readings) for term, readings in glossary.terms.items()}
    return _MARK + json.dumps(data)


def _of_format_1(data: dict[str, Any]) -> dict[str, Any]:
    """Converts a format 1 recipe, with a nested request and its emotion as separate fields."""
    request = dict(data["request"])
    prompt = request.pop("emotion", None)
    start = request.pop("emotion_start", 0.0)
    emotion = {
        "prompt": None if prompt is None else {"vector": None, "source": prompt, "start": start}
    }
    for name in ("alpha", "weights", "random", "bias"):
        if f"emotion_{name}" in request:
            emotion[name] = request.pop(f"emotion_{name}")
    rest = {name: value for name, value in data.items() if name != "request"}
    return {**rest, **request, "emotion": emotion, "format": FORMAT}


def _check_starts(recipe: Recipe) -> None:
    prompt = recipe.emotion.prompt
    starts = [recipe.speaker_start, *([prompt.start] if isinstance(prompt, EmotionPrompt) else [])]
    if any(not 0 <= start <= LONGEST for start in starts):
        raise InputError(f"an excerpt begins at second {max(starts, key=abs):g}")


def from_comment(comment: str, where: str) -> Recipe:
    """The recipe in the comment of an audio file called `where`.

    Raises:
        InputError: if there is none, or this program cannot read it.
    """
    if not comment.startswith(_MARK):
        raise InputError(
            f"{where} holds no recipe: it does not come from python -m indextts_jax.synth"
        )
    try:
        data: Any = json.loads(comment.removeprefix(_MARK))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: its recipe is damaged: {error!s:.120}") from error
    found = data.get("format") if isinstance(data, dict) else None
    if type(found) is not int:
        raise InputError(f"{where}: its recipe is damaged: the format is missing")
    if found > FORMAT:
        raise InputError(
            f"{where}: its recipe has format {found}, from a newer program; this one reads up to "
            f"format {FORMAT}: upgrade indextts-jax"
        )
    terms = data.pop("glossary", None)
    try:
        if not isinstance(terms, dict | None):
            raise ConfigError("glossary: expected terms and readings")
        recipe = from_data(Recipe, _of_format_1(data) if found == 1 else data)
        check_seed(recipe.seed)
        _check_starts(recipe)
    except (InputError, KeyError, TypeError, ValueError) as error:  # or invalid settings
        raise InputError(f"{where}: its recipe is damaged: {error!s:.200}") from error
    if terms is None:
        return recipe
    settings = dataclasses.replace(recipe.settings, glossary=Glossary.of(terms, where))
    return dataclasses.replace(recipe, settings=settings)
