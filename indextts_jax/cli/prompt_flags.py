"""The flags of recordings: which part of one is used, and what is wrong with it."""

from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from indextts_jax.audio.quality import FIRST, excerpt_of
from indextts_jax.cli.terminal import warn
from indextts_jax.errors import InputError
from indextts_jax.voices import store

EXCERPT = "prompt_excerpt"


def define(own: dict[str, Any]) -> None:
    """The flag of the excerpt, on the values of a command."""
    absl_flags.DEFINE_string(
        EXCERPT,
        FIRST,
        "Which 15 s of a longer recording are used: first, loudest, or the second to begin at.",
        **own,
    )


def excerpt_start(recording: str | Path, excerpt: str, output: str | None = None) -> float:
    """The second from which on a recording is used; what may spoil it is shown as warnings.

    Raises:
        InputError: for a recording that cannot be a prompt, or that the output would replace.
    """
    found = excerpt_of(recording, excerpt)
    if output is not None and Path(output).exists() and Path(output).samefile(recording):
        raise InputError(f"--output {output} is the recording itself: it is not replaced")
    for line in found.warnings:
        warn(line)
    return found.start


def speaker(flags: Any, default: Path | None = None) -> str | Path | None:
    """The recording of the voice; none for a kept voice.

    Raises:
        InputError: if there are both, or none, or the kept voice cannot be read.
    """
    if flags.voice is not None:
        if flags.speaker is not None:
            raise InputError("--speaker and --voice exclude each other: give one")
        store.read_record(store.voice_path(flags.voice))  # before the model is loaded
        return None
    if flags.speaker is None and default is None:
        raise InputError("give --speaker, a recording of the voice, or --voice, a kept one")
    return flags.speaker or default
