"""`--timings`: files with the times of words, and what is checked before they are made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from indextts_jax.audio.output import STDOUT, check_place
from indextts_jax.cli.terminal import say
from indextts_jax.engine.speech import Speech
from indextts_jax.errors import InputError
from indextts_jax.timings.files import check_timings
from indextts_jax.timings.words import ESTIMATE

FLAGS = ("timings", "cue_words")


def define(flags: absl_flags.FlagValues) -> None:
    """Defines the flags."""
    own: dict[str, Any] = {"flag_values": flags}
    absl_flags.DEFINE_multi_string(
        "timings",
        [],
        "File of word times: .srt, .vtt, .ass, .lrc, .json or .TextGrid.",
        **own,
    )
    absl_flags.DEFINE_integer(
        "cue_words",
        0,
        "Words of a subtitle at most, each with its own time; 0: by the rules of subtitles.",
        lower_bound=0,
        **own,
    )


def check(flags: Any) -> None:
    """Checks that the files can be written.

    Raises:
        InputError: if one cannot, or the flags cannot be combined.
    """
    if flags["cue_words"].present and not flags.timings:
        raise InputError("--cue_words needs --timings")
    places = [] if flags.output == STDOUT else [Path(flags.output).absolute()]
    for name in flags.timings:
        path = check_timings(name)
        check_place(path)
        if path.absolute() in places:
            raise InputError(f"{name} is written twice: --timings and --output need other names")
        places.append(path.absolute())


def save(paths: Sequence[str], speech: Speech, cue_words: int) -> None:
    """Writes the files, and says what their times are."""
    for path in paths:
        speech.save_timings(path, cue_words)
    words = speech.words or ()
    timed = [word for word in words if word.start is not None]
    line = f"{', '.join(paths)}: {len(timed)} of {len(words)} words have a time"
    if any(word.method == ESTIMATE for word in timed):
        line += (
            ", an estimate from syllables and pauses (python -m indextts_jax.align calibrate finds "
            "the attention that gives true times)"
        )
    say(line)
