"""From a reply of the text-to-emotion model to eight weights."""

import json
import math
import re
from typing import Any, NamedTuple

from indextts_jax.config import EMOTIONS
from indextts_jax.errors import Failure

# The model's labels of the emotions, in the order of `EMOTIONS`.
LABELS = ("高兴", "愤怒", "悲伤", "恐惧", "反感", "低落", "惊讶", "自然")
SAD, MELANCHOLIC = LABELS[EMOTIONS.index("sad")], LABELS[EMOTIONS.index("melancholic")]
CALM = EMOTIONS.index("calm")

# Keys under which a reply may name one emotion instead of giving all weights.
NAMING = ("emotion", "emotion_label", "label", "情感", "情绪")

# The model confuses melancholy with sadness: the reference swaps the two if the text has such a
# word.
MELANCHOLIC_WORDS = (
    "低落",
    "melancholy",
    "melancholic",
    "depression",
    "depressed",
    "gloomy",
)

MOST = 1.2  # of a weight; larger ones are clipped

_NUMBERED = re.compile(r'([^\s":.,]+?)"?\s*:\s*([\d.]+)')
_OWN = {label: label for label in LABELS} | dict(zip(EMOTIONS, LABELS, strict=True))


class ReplyError(Failure):
    """A reply that cannot be read as emotions."""


class Weights(NamedTuple):
    """The weights of a reply, in the order of `EMOTIONS`."""

    values: tuple[float, ...]
    nothing: bool  # no weight was above zero: calm was set to one


def _shown(reply: str) -> str:
    return repr(reply if len(reply) <= 160 else f"{reply[:160]}...")


def _label(value: Any) -> str | None:
    """The label that a value names, in Chinese or English."""
    if not isinstance(value, str):
        return None
    word = value.strip()
    return _OWN.get(word) or _OWN.get(word.lower())


def _content(reply: str) -> Any:
    """The reply as JSON, or, if it is not JSON, its `word: number` pairs."""
    try:
        return json.loads(reply)
    except (ValueError, RecursionError):
        pairs = _NUMBERED.findall(reply)
    try:
        return {name: float(number) for name, number in pairs}
    except ValueError as error:
        raise ReplyError(
            f"the emotion model's reply has no readable numbers: {_shown(reply)}"
        ) from error


def _weighed(content: Any) -> dict[str, Any]:
    """The weights by label; an emotion that is only named gets weight one."""
    found = (
        {label: content[label] for label in LABELS if label in content}
        if isinstance(content, dict)
        else {}
    )
    if not found:
        names = [content.get(key) for key in NAMING] if isinstance(content, dict) else [content]
        if named := next(filter(None, map(_label, names)), None):
            found[named] = 1.0
    for label in LABELS:
        if named := _label(found.get(label)):
            found[label] = 0.0
            found[named] = 1.0
    return found


def read_reply(reply: str, text: str) -> Weights:
    """The eight weights in a reply to a text, each from 0 to `MOST`.

    Raises:
        ReplyError: if a weight is not a number, or the reply has no known form.

    Source: `QwenEmotion.inference` of the PyTorch release.
    """
    content = _content(reply)
    if any(word in text.lower() for word in MELANCHOLIC_WORDS):
        if not isinstance(content, dict):
            raise ReplyError(f"the emotion model's reply has no weights: {_shown(reply)}")
        sad, melancholic = content.get(SAD, 0.0), content.get(MELANCHOLIC, 0.0)
        content = content | {SAD: melancholic, MELANCHOLIC: sad}
    weighed = _weighed(content)
    values = []
    for label, emotion in zip(LABELS, EMOTIONS, strict=True):
        try:
            value = float(weighed.get(label, 0.0))
        except (TypeError, ValueError, OverflowError) as error:
            raise ReplyError(
                f"the emotion model gave {weighed[label]!r:.80} for {emotion}, expected a number: "
                f"{_shown(reply)}"
            ) from error
        if math.isnan(value):
            raise ReplyError(f"the emotion model gave no number for {emotion}: {_shown(reply)}")
        values.append(min(max(value, 0.0), MOST))
    nothing = not any(value > 0 for value in values)
    if nothing:
        values[CALM] = 1.0
    return Weights(tuple(values), nothing)
