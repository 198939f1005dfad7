"""What is compared in each version: the stages, and the runs from audio files to waveform."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from indextts_jax.runtime.model import Model
from indextts_jax.validation.golden import Golden
from indextts_jax.validation.one_run import one_run
from indextts_jax.validation.stages import STAGES, Stage
from indextts_jax.validation.v25 import runs, stages

END_TO_END = "end_to_end"


@dataclasses.dataclass(frozen=True)
class Run:
    """A recorded run: its file, and our arrays of this and of other files."""

    file: str
    run: Callable[[Model, Golden], dict[tuple[str, str], Any]]
    inputs: tuple[str, ...]  # names, or patterns, of the run's inputs
    after: tuple[str, ...]  # other files that it reads or compares arrays of


@dataclasses.dataclass(frozen=True)
class Checks:
    """What is compared in a version."""

    stages: tuple[Stage, ...]
    runs: tuple[Run, ...]


# Stages that the runs of the first file have no part in.
_APART = ("gpt_batch", "gpt_sampling", "bigvgan")
_GIVEN = ("text", "lang", "settings", r"noise_\d+", r"exponential_\d+")
_PROMPTS = ("w2v", "campplus", "conditioning", "length_regulator", "cfm")
CHECKS: dict[str, Checks] = {
    "2.0": Checks(
        STAGES,
        (
            Run(
                END_TO_END,
                one_run,
                ("text_ids", "noise", "settings"),
                tuple(stage.file for stage in STAGES if stage.file not in _APART),
            ),
        ),
    ),
    "2.5": Checks(
        stages.STAGES,
        tuple(
            Run(
                file,
                functools.partial(runs.one_run, file=file),
                _GIVEN,
                _PROMPTS if file == runs.RUNS[0] else (),
            )
            for file in runs.RUNS
        ),
    ),
}
