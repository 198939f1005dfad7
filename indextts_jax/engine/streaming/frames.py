"""Which frames belong to which codes, and the padded lengths of chunks.

The length regulator spreads codes over frames by a ratio, which in a whole segment is that of its
lengths. A chunk cannot know these. With the ratio of the model (25 codes are 43 frames) every frame
has its place before the end is known, at any end; at multiples of 25 codes it is the place that it
has offline.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Int

from indextts_jax.engine.pace import Timing
from indextts_jax.engine.streaming.chunks import UNIT, Chunks
from indextts_jax.models.vocoder import reach
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.versions.registry import version_of

LOOK_AHEAD = 22  # frames of the flow past a chunk: the WaveNet reads 16, the length regulator 4
CONTEXT = 430  # frames of the segment's own mel that the flow continues: 5 s
FAST_MARGIN = 20  # frames that fast seams hold back: the vocoder's error is then 5e-8 of the RMS
ROUNDING = 1e-6  # frames: 25 codes are 43 of them, not one more
UNITS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 28)  # units of 25 codes in a padded chunk with its context


@dataclasses.dataclass(frozen=True)
class FrameMap:
    """The frames of a segment's codes, known before the segment ends."""

    frames_per_code: float
    ratio: np.float32  # rows of the length regulator's input for a frame
    rows_per_code: int
    unit: int  # frames of 25 codes, rounded up
    look_ahead: int  # codes that must be known past a chunk
    margin: int  # frames that the vocoder holds back
    reach: int  # frames that it reads on the left

    def frames(self, codes: int) -> int:
        """The frames whose place is among the first `codes` codes.

        The product of the length regulator is rounded to float32, so that the next frame may still
        read the last of them.
        """
        return math.ceil(codes * self.frames_per_code - ROUNDING)

    def rows(self, frames: int, codes: int) -> Int[np.ndarray, " f"]:
        """The row of the length regulator's input that each frame of a segment repeats."""
        places = np.floor(np.arange(frames, dtype=np.float32) * self.ratio).astype(np.int32)
        return np.minimum(places, self.rows_per_code * codes - 1)

    def padded(self, frames: int) -> int:
        """The padded length of a chunk and its context, for the flow."""
        for step in UNITS:
            if frames <= step * self.unit + LOOK_AHEAD:
                return step * self.unit + LOOK_AHEAD
        step = -(-(frames - LOOK_AHEAD) // (self.unit * UNITS[-1])) * UNITS[-1]
        return step * self.unit + LOOK_AHEAD

    def padded_mel(self, frames: int) -> int:
        """The padded length of a chunk and its margins, for the vocoder."""
        return self.padded(frames - self.reach - self.margin) + self.reach + self.margin


def frame_map(model: Model, timing: Timing, chunks: Chunks) -> FrameMap:
    """The map at a pace, with the seams of the settings."""
    config, version = model.config, version_of(model.config)
    frames_per_code = config.frames_per_code / timing.pace
    ratio = np.float32(version.ROWS_PER_CODE / frames_per_code)
    ahead = math.ceil(LOOK_AHEAD / frames_per_code)
    exact = chunks.seams == "exact"
    whole = reach(config.vocoder)
    return FrameMap(
        frames_per_code=frames_per_code,
        ratio=ratio,
        rows_per_code=version.ROWS_PER_CODE,
        unit=math.ceil(UNIT * frames_per_code - ROUNDING),
        look_ahead=ahead + version.look_ahead(model, exact=exact),
        margin=whole if exact else min(whole, FAST_MARGIN),
        reach=whole,
    )
