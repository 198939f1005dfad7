"""Batches of the flow objective: the choice of prompts, and the arrays of a batch.

Everything is drawn on the host, with the loop's generator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from indextts_jax.config import LengthRegulatorConfig, ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.training.objectives.flow.options import FlowOptions
from indextts_jax.training.versions.interface import kind_of

if TYPE_CHECKING:
    from indextts_jax.training.data.prepared import Prepared, Row
    from indextts_jax.training.objectives.base import Batch


class Sizes(NamedTuple):
    """Padded lengths of a batch."""

    codes: int  # codes of a prompt, and of a target
    prompt: int  # most mel frames of a prompt from another clip
    frames: int  # frames of prompt and target together

    @classmethod
    def of(cls, seconds: float, config: ModelConfig, options: FlowOptions) -> Sizes:
        """Sizes for clips of at most `seconds`, with prompts from the same or another clip."""
        frame_rate = config.mel.sample_rate / config.mel.hop
        longest = options.prompt_seconds if options.own_prompts < 1 else 0.0
        prompt = math.floor(longest * frame_rate)
        codes = math.ceil(max(seconds, longest) * config.codes_per_second) + 1
        return cls(codes, prompt, math.ceil(seconds * frame_rate) + 1 + prompt)


class Cut(NamedTuple):
    """The prompt and the target of a row."""

    prompt: Row
    codes: slice  # range in the prompt's clip
    frames: slice
    first_code: int  # range of the target
    first_frame: int
    latents: bool  # whether latents are added to the target


def frame_of(code: int, row: Row) -> int:
    """The first mel frame of a code, from the clip's own frames per code."""
    return code * row.frames // row.codes


def cut(
    row: Row, data: Prepared, sizes: Sizes, options: FlowOptions, rng: np.random.Generator
) -> Cut:
    """Draws the prompt of a row.

    Either the beginning of the clip itself, which the target continues, or some seconds of another
    clip of the speaker, with the whole clip as target (as in inference).
    """
    own, empty, uniform, latents = rng.random(4)
    with_latents = bool(latents < options.latents)
    prompt = row if own < options.own_prompts else data.prompts(row, rng)
    if prompt.id == row.id:
        count = 0 if empty < options.empty_prompt else int(uniform * row.codes)
        frames = min(frame_of(count, row), row.frames - 1)  # the target has at least one
        return Cut(row, slice(0, count), slice(0, frames), count, frames, with_latents)
    fitting = ((sizes.prompt + 1) * prompt.codes - 1) // prompt.frames  # code counts from frames
    count = min(prompt.codes, sizes.codes, fitting)
    start = int(uniform * (prompt.codes - count + 1))
    frame = frame_of(start, prompt)
    heard = slice(frame, frame + frame_of(count, prompt))
    return Cut(prompt, slice(start, start + count), heard, 0, 0, with_latents)


def collate(
    rows: Sequence[Row],
    data: Prepared,
    seconds: float,
    config: ModelConfig,
    options: FlowOptions,
    rng: np.random.Generator,
) -> Batch:
    """The arrays of a batch, padded to the sizes of clips of `seconds`.

    `mel` (b f m) has the prompt followed by the target; `frames` counts both, `prompt_frames` the
    prompt. `codes` (b s), `latents` (b s w) and the arrays of the prompt are padded with zeros.

    Raises:
        InputError: for a clip that is longer than `seconds`, or has too few codes or frames.
    """
    sizes = Sizes.of(seconds, config, options)
    kind = kind_of(config)
    batch = _empty(len(rows), sizes, config, latents=options.latents > 0)
    batch |= kind.empty_prompts(len(rows), sizes.codes, config)
    for number, row in enumerate(rows):
        _check(row, seconds, sizes)
        drawn = cut(row, data, sizes, options, rng)
        kind.put_prompt(batch, number, data, drawn.prompt, drawn.codes)
        _fill(batch, number, row, drawn, data)
    return batch


def _empty(rows: int, sizes: Sizes, config: ModelConfig, *, latents: bool) -> Batch:
    counts = ("code_counts", "frames", "prompt_frames")
    batch: Batch = {name: np.zeros(rows, np.int32) for name in counts}
    batch["mel"] = np.zeros((rows, sizes.frames, config.mel.mels), np.float32)
    batch["style"] = np.zeros((rows, config.dit.style), np.float32)
    batch["codes"] = np.zeros((rows, sizes.codes), np.int32)
    if latents:
        assert isinstance(config.length_regulator, LengthRegulatorConfig)
        width = config.length_regulator.latents
        batch["latents"] = np.zeros((rows, sizes.codes, width), np.float32)
        batch["with_latents"] = np.zeros(rows, bool)
    return batch


def _check(row: Row, seconds: float, sizes: Sizes) -> None:
    frames, codes = sizes.frames - sizes.prompt, sizes.codes
    if row.frames > frames or row.codes > codes:
        raise InputError(
            f"clip {row.id} has {row.frames} mel frames and {row.codes} codes: a bucket of "
            f"{seconds:g} s allows at most {frames} and {codes}"
        )
    if row.codes < 1 or row.frames < 2:
        raise InputError(
            f"clip {row.id} has {row.codes} codes and {row.frames} mel frames: the flow needs at "
            "least 1 and 2"
        )


def _fill(batch: Batch, number: int, row: Row, cut: Cut, data: Prepared) -> None:
    """Writes a row into the arrays of a batch."""
    prompt_mel = data.read(cut.prompt, "mel")[cut.frames]
    target_mel = data.read(row, "mel")[cut.first_frame :]
    _put(batch["mel"][number], np.concatenate([prompt_mel, target_mel]))
    codes = data.read(row, "codes")[cut.first_code :]
    _put(batch["codes"][number], codes)
    batch["style"][number] = data.read(cut.prompt, "style")
    counts: Mapping[str, int] = {
        "prompt_frames": len(prompt_mel),
        "frames": len(prompt_mel) + len(target_mel),
        "code_counts": len(codes),
    }
    for name, count in counts.items():
        batch[name][number] = count
    if "latents" in batch and cut.latents:  # others are not read
        batch["with_latents"][number] = True
        _put(batch["latents"][number], data.read(row, "latents")[cut.first_code :])


def _put(into: np.ndarray, values: np.ndarray) -> None:
    """Writes values to the beginning of a padded array."""
    into[: len(values)] = values
