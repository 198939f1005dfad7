"""Flags for prompt recordings: which excerpt is used, and warnings about its quality."""

from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from indextts_jax.audio.quality import FIRST, excerpt_of
from indextts_jax.cli.terminal import warn
from indextts_jax.cli.text_flags import STDIN
from indextts_jax.engine import demo
from indextts_jax.errors import InputError
from indextts_jax.voices import store

EXCERPT = "prompt_excerpt"
SAMPLE = "demo"  # value of --speaker for the recording that comes with this package


def define(own: dict[str, Any]) -> None:
    """Defines the flag of the excerpt on a command's flag values."""
    absl_flags.DEFINE_string(
        EXCERPT,
        FIRST,
        "Which 15 s of a longer recording to use: first, loudest, or the second to begin at.",
        **own,
    )


def excerpt_start(recording: str | Path, excerpt: str, output: str | None = None) -> float:
    """The second at which the used part of a recording begins; prints warnings about its quality.

    Raises:
        InputError: for an unusable recording, or one that the output would overwrite.
    """
    found = excerpt_of(recording, excerpt)
    if output is not None and Path(output).exists() and Path(output).samefile(recording):
        raise InputError(f"--output {output} would overwrite the recording")
    for line in found.warnings:
        warn(line)
    return found.start


def speaker(flags: Any, default: Path | None = None) -> str | Path | None:
    """The recording of the voice; None for a saved voice.

    Raises:
        InputError: if both or neither are given, or the saved voice cannot be read.
    """
    if flags.voice is not None:
        if flags.speaker is not None:
            raise InputError("--speaker and --voice are mutually exclusive")
        store.read_record(store.voice_path(flags.voice))  # before the model is loaded
        return None
    if flags.speaker == STDIN:
        raise InputError(
            "--speaker -: a recording is read more than once, so it cannot come from standard "
            "input; save it to a file"
        )
    if flags.speaker == SAMPLE and not Path(SAMPLE).exists():
        return demo.demo_speaker()
    if flags.speaker is None and default is None:
        raise InputError("give --speaker (a recording) or --voice (a saved voice)")
    return flags.speaker or default
