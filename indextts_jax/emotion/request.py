"""The emotion of a request: its options, their precedence, and which combinations are valid.

All rules are here; flags, recipes and help texts are generated from its fields.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indextts_jax.config import EMOTIONS
from indextts_jax.errors import InputError
from indextts_jax.utils.paths import user_path
from indextts_jax.voices.analysis import EmotionPrompt


def _source(help: str) -> Any:
    return _option(None, (), "", help)


def _option(default: Any, used_by: tuple[str, ...], needs: str, help: str) -> Any:
    """A field, the sources that use it, and what it needs in words; a source has no `used_by`."""
    metadata = {"used_by": used_by, "needs": needs, "help": help}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Emotion:
    """An emotion, by default the voice's own.

        Emotion(prompt="sad.wav", alpha=0.6)
        Emotion(weights=(0, 0, 0, 0, 0, 0, 0.7, 0))
        Emotion(weights={"happy": 0.5, "surprised": 0.2})
        Emotion(text="overjoyed")

    There are three sources: a text (`text`), eight weights in the order of `EMOTIONS`, and a
    recording (`prompt`, a path or the result of `IndexTTS.emotion`). As in the reference, text
    takes precedence over weights, and weights over a recording; `unused` names options without
    effect.

    Raises:
        InputError: for invalid numbers or an empty text.

    Source: `IndexTTS2.infer_generator` of the PyTorch release.
    """

    text: str | None = _source("Text to read the emotion from.")
    weights: Sequence[float] | Mapping[str, float] | None = _source(
        f"Eight weights: {','.join(EMOTIONS)}; or some by name, such as happy=0.5."
    )
    prompt: str | Path | EmotionPrompt | None = _source(  # noqa: RUF009
        "Recording of an emotion, in any voice."
    )
    alpha: float | None = _option(
        None,
        ("text", "weights", "prompt"),
        "an emotion prompt, weights or text",
        "Strength of the emotion, 0 to 1 (by default 1; 0.6 suits text).",
    )
    random: bool = _option(
        False,
        ("text", "weights"),
        "emotion weights or text",
        "Pick the stored voices behind weights or text by the seed; by default, those most like "
        "the speaker.",
    )
    bias: bool = _option(
        False,
        ("weights",),
        "emotion weights",
        "Reduce weights as the web interface of the reference does, to a sum of 0.8.",
    )

    def __post_init__(self) -> None:
        if self.text is not None and not self.text.strip():
            raise InputError(
                "emotion_text is empty: give a text to read the emotion from", "emotion_text"
            )
        if isinstance(self.prompt, str | Path):
            user_path(self.prompt, "the emotion prompt")
        if self.alpha is not None and not math.isfinite(self.alpha):
            raise InputError(
                f"emotion_alpha must be a finite number, got {self.alpha}", "emotion_alpha"
            )
        if self.weights is not None:
            weights = weights_of(self.weights)
            if len(weights) != len(EMOTIONS) or not all(map(math.isfinite, weights)):
                raise InputError(
                    f"emotion_weights must be {len(EMOTIONS)} finite numbers, got {list(weights)}",
                    "emotion_weights",
                )
            object.__setattr__(self, "weights", weights)

    @property
    def source(self) -> str | None:
        """The field that the emotion comes from; None for the voice's own."""
        sources = (name for name, field in OPTIONS.items() if not field.metadata["used_by"])
        return next((name for name in sources if getattr(self, name) is not None), None)

    @property
    def unused(self) -> tuple[str, ...]:
        """The fields that are set but have no effect with this source."""
        source = self.source
        given = (name for name, field in OPTIONS.items() if getattr(self, name) != field.default)
        return tuple(
            name
            for name in given
            if name != source and source not in OPTIONS[name].metadata["used_by"]
        )

    def effective(self) -> "Emotion":
        """The same emotion without the fields that have no effect."""
        defaults: dict[str, Any] = {name: OPTIONS[name].default for name in self.unused}
        return dataclasses.replace(self, **defaults)


def weights_of(given: Sequence[float] | Mapping[str, float]) -> tuple[float, ...]:
    """The eight weights, from a list of them or from some by name.

    Raises:
        InputError: for a name that is not an emotion.
    """
    if not isinstance(given, Mapping):
        return tuple(float(weight) for weight in given)
    if unknown := [name for name in given if name not in EMOTIONS]:
        raise InputError(
            f"emotion_weights: {unknown[0]!r:.80} is not one of {', '.join(EMOTIONS)}",
            "emotion_weights",
        )
    return tuple(float(given.get(name, 0.0)) for name in EMOTIONS)


def weight_warnings(emotion: Emotion) -> list[str]:
    """Clauses about weights that are beyond what the model was made for."""
    weights = emotion.weights
    if weights is None or isinstance(weights, Mapping) or emotion.bias:
        return []
    pairs = zip(EMOTIONS, weights, strict=True)
    odd = [f"{name} {weight:g}" for name, weight in pairs if not 0 <= weight <= 1]
    if odd:
        return [f"emotion weights are usually between 0 and 1, got {', '.join(odd)}"]
    if (total := sum(weights)) > 1.0001:
        return [
            f"the emotion weights sum to {total:g}: above 1, the voice's own emotion is subtracted"
        ]
    return []


OPTIONS = {field.name: field for field in dataclasses.fields(Emotion)}
NAMES = {name: f"emotion_{name}" for name in OPTIONS} | {"prompt": "the emotion prompt"}


def explain_unused(emotion: Emotion, names: Mapping[str, str] = NAMES) -> str:
    """Which options have no effect and why, in one line; empty if all have an effect."""
    return "; ".join(
        f"{names[name]} needs {needs}"
        if (needs := OPTIONS[name].metadata["needs"])
        else f"{names[name]} is ignored because {names[emotion.source or '']} is set"
        for name in emotion.unused
    )
