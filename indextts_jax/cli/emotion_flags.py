"""Flags for the emotion, which combinations are valid, and the `Emotion` that they describe."""

import re
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from indextts_jax.cli.terminal import warn
from indextts_jax.config import EMOTIONS
from indextts_jax.emotion.reader import EmotionReader, Reading
from indextts_jax.emotion.request import OPTIONS, Emotion, explain_unused, weight_warnings
from indextts_jax.errors import InputError
from indextts_jax.utils.stopwatch import Clock

NAMES = {name: f"--emotion_{name}" for name in OPTIONS} | {"prompt": "--emotion"}
FROM_TEXT = "emotion_from_text"
FLAGS = (*(name.removeprefix("--") for name in NAMES.values()), FROM_TEXT)


def define(own: dict[str, Any]) -> None:
    """Defines a flag for each field of `Emotion` on a command's flag values."""
    for name, field in OPTIONS.items():
        flag, words = NAMES[name].removeprefix("--"), field.metadata["help"]
        if name == "weights":
            absl_flags.DEFINE_list(flag, None, words, **own)
        elif field.default is False:
            absl_flags.DEFINE_bool(flag, False, words, **own)
        elif field.type in (float, float | None):
            absl_flags.DEFINE_float(flag, None, words, **own)
        else:
            absl_flags.DEFINE_string(flag, None, words, **own)
    absl_flags.DEFINE_bool(
        FROM_TEXT, False, "Read the emotion from the text that is spoken.", **own
    )


def parse(flags: Any, text: str) -> Emotion:
    """The emotion requested by the flags, for a text to be spoken.

    Raises:
        InputError: if a flag would have no effect, or is not a number.
    """
    if flags.emotion_text is not None and flags.emotion_from_text:
        raise InputError("--emotion_text and --emotion_from_text are mutually exclusive")
    given = {name: flags[flag.removeprefix("--")].value for name, flag in NAMES.items()}
    _check_recording(flags.emotion)
    given["weights"] = _weights(given["weights"])
    names = dict(NAMES)
    if flags.emotion_from_text:
        given["text"], names["text"] = text, f"--{FROM_TEXT}"
    emotion = Emotion(**given)
    if emotion.unused:
        raise InputError(explain_unused(emotion, names))
    if emotion.text is not None and flags.demo:
        raise InputError(f"the demo model cannot read emotion from text ({NAMES['text']})")
    for line in weight_warnings(emotion):
        warn(line)
    return emotion


def _check_recording(path: str | None) -> None:
    """Weights given as a recording, as in `--emotion happy=0.5`, get the name of their flag."""
    if path is None or Path(path).expanduser().exists():
        return
    words = [word.partition("=")[0].strip() for word in path.split(",")]
    if set(words) <= set(EMOTIONS) or all(re.fullmatch(r"[\d.]+", word) for word in words):
        raise InputError(
            f"--emotion expects a recording, got {path}: weights go to --emotion_weights, "
            "words to --emotion_text"
        )


def _weights(words: list[str] | None) -> list[float] | dict[str, float] | None:
    """Eight numbers, or some with names: happy=0.5,sad=0.2."""
    if words is None:
        return None
    pairs = [word.partition("=") for word in words]
    named = [bool(sign) for _, sign, _ in pairs]
    if any(named) and not all(named):
        raise InputError(
            f"--emotion_weights must be eight numbers, or all by name, got {','.join(words)}"
        )
    names = [name.strip() for name, _, _ in pairs]
    if any(named) and len(set(names)) < len(names):
        raise InputError(f"--emotion_weights names an emotion twice: {','.join(words)}")
    try:
        if any(named):
            return {name.strip(): float(value) for name, _, value in pairs}
        return [float(word) for word in words]
    except ValueError:
        raise InputError(f"--emotion_weights must be numbers, got {','.join(words)}") from None


def read_words(flags: Any, emotion: Emotion, clock: Clock) -> Reading | None:
    """The emotion read from text, if requested; the reader is freed before other models are loaded.

    Raises:
        InputError: if the checkpoint has no text-to-emotion model.
        ReplyError: if its reply cannot be understood.
    """
    if emotion.text is None:
        return None
    with clock.stage("loading (emotion)"):
        reader = EmotionReader.load(flags.checkpoint, flags.dtype)
    with clock.stage("emotion from text"):
        reading = reader.read(emotion.text)
    if reading.nothing:
        warn(f"no emotion was found in the text ({reading.reply!r:.80}): using calm")
    return reading
