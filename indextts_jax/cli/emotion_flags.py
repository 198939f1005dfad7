"""The flags of the emotion: how they go together, and what they ask of `speak`."""

from typing import Any

from absl import flags as absl_flags

from indextts_jax.cli.terminal import warn
from indextts_jax.emotion.reader import EmotionReader, Reading
from indextts_jax.emotion.request import Wish, choose, told
from indextts_jax.errors import InputError
from indextts_jax.utils.stopwatch import Clock

FLAGS = (
    "emotion",
    "emotion_text",
    "emotion_from_text",
    "emotion_weights",
    "emotion_alpha",
    "emotion_random",
    "emotion_bias",
)
NAMES = {
    "text": "--emotion_text",
    "weights": "--emotion_weights",
    "prompt": "--emotion",
    "alpha": "--emotion_alpha",
    "random": "--emotion_random",
    "bias": "--emotion_bias",
}


def define(own: dict[str, Any]) -> None:
    """The flags, on the values of a command."""
    absl_flags.DEFINE_string("emotion", None, "Recording of an emotion, in any voice.", **own)
    absl_flags.DEFINE_string("emotion_text", None, "Words to read the emotion from.", **own)
    absl_flags.DEFINE_bool(
        "emotion_from_text", False, "Read the emotion from what is spoken.", **own
    )
    absl_flags.DEFINE_list(
        "emotion_weights",
        None,
        "Eight: happy,angry,sad,afraid,disgusted,melancholic,surprised,calm.",
        **own,
    )
    absl_flags.DEFINE_float(
        "emotion_alpha",
        None,
        "Share of the emotion, 0 to 1 (by default 1; 0.6 suits words).",
        **own,
    )
    absl_flags.DEFINE_bool(
        "emotion_random",
        False,
        "Draw the stored voices behind weights or words by --seed; by default those are taken "
        "that are most like the speaker.",
        **own,
    )
    absl_flags.DEFINE_bool(
        "emotion_bias",
        False,
        "Tone --emotion_weights down as the web interface of the reference does, to 0.8 in all.",
        **own,
    )


def parse(flags: Any, text: str) -> Wish:
    """What the flags ask for, of a text to be spoken.

    Raises:
        InputError: if one of them would not be heard, or is no number.
    """
    if flags.emotion_text is not None and flags.emotion_from_text:
        raise InputError("--emotion_text and --emotion_from_text exclude each other: give one")
    if flags.emotion_text is not None and not flags.emotion_text.strip():
        raise InputError("--emotion_text is empty: give words to read the emotion from")
    wish = Wish(
        flags.emotion,
        text if flags.emotion_from_text else flags.emotion_text,
        _weights(flags.emotion_weights),
        flags.emotion_alpha,
        flags.emotion_random,
        flags.emotion_bias,
    )
    choice = choose(
        text=wish.text is not None,
        weights=wish.weights is not None,
        prompt=wish.prompt is not None,
        alpha=wish.alpha is not None,
        random=wish.random,
        bias=wish.bias,
    )
    if choice.unused:
        names = NAMES | ({"text": "--emotion_from_text"} if flags.emotion_from_text else {})
        raise InputError(told(choice, names))
    if wish.text is not None and flags.demo:
        raise InputError(f"the demo has no model that reads emotion from words ({NAMES['text']})")
    return wish


def _weights(words: list[str] | None) -> list[float] | None:
    if words is None:
        return None
    try:
        return [float(word) for word in words]
    except ValueError:
        raise InputError(f"--emotion_weights must be numbers, got {','.join(words)}") from None


def read_words(flags: Any, wish: Wish, clock: Clock) -> Reading | None:
    """The emotion in the words, if it is asked for; the model is let go before others are loaded.

    Raises:
        InputError: if the checkpoint has no such model.
        ReplyError: if its reply cannot be understood.
    """
    if wish.text is None:
        return None
    with clock.stage("loading (words)"):
        reader = EmotionReader.load(flags.checkpoint, flags.dtype)
    with clock.stage("emotion from words"):
        reading = reader.read(wish.text)
    if reading.nothing:
        warn(f"no emotion was found in the words ({reading.reply!r:.80}): calm is taken")
    return reading
