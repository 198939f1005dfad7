"""How speech is cut into chunks, and what a stream of chunks consists of."""

import dataclasses

import numpy as np
from jaxtyping import Float32

from indextts_jax.engine.speech import Segment
from indextts_jax.errors import InputError
from indextts_jax.timings.words import Word

UNIT = 25  # codes; in version 2.0 they are 43 frames exactly, so the map of frames never moves
SIZES = (25, 50, 75, 100, 150, 200, 300, 400)  # codes of a chunk
SEAMS = ("exact", "fast")
FIRST = {"exact": 50, "fast": 25}  # codes of the first chunk, see `Chunks.first`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunks:
    """How a segment is cut into chunks, each spoken as soon as its codes are known.

    `first` is the number of codes of the first chunk: 25, 50, 75, 100, 150, 200, 300 or 400; None
    takes 50 with exact seams and 25 with fast ones. Of later chunks, the measured speed decides.

    With `exact` seams the samples are those of the vocoder on the whole mel at once. With `fast`
    ones each chunk holds back fewer frames, and comes earlier.

    Raises:
        InputError: for another number or word.
    """

    first: int | None = None
    seams: str = "exact"

    def __post_init__(self) -> None:
        if self.first is not None and self.first not in SIZES:
            sizes = ", ".join(map(str, SIZES))
            raise InputError(
                f"first_chunk must be one of {sizes} codes, got {self.first}", "first_chunk"
            )
        if self.seams not in SEAMS:
            raise InputError(f"seams must be {' or '.join(SEAMS)}, got {self.seams!r:.40}", "seams")

    @property
    def first_codes(self) -> int:
        """Codes of the first chunk."""
        return FIRST[self.seams] if self.first is None else self.first


@dataclasses.dataclass(frozen=True)
class Sound:
    """The next samples of a stream, in [-1, 1]; all sounds concatenated are the whole output."""

    samples: Float32[np.ndarray, " n"]
    segment: int  # its index in the text
    first_sample: int  # index of the first of the samples in the whole output
    # Frames of the segment where the mels of two chunks meet, if their samples are among these.
    seam_frames: tuple[int, ...] = ()
    final: Segment | None = None  # with the last sound of a segment, how it was made
    # Seconds to wait before playing, so that there is no gap; known with the first sound.
    prebuffer: float = 0.0
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)  # of compute, by stage
    # With the last sound of a segment its words, in seconds of the whole output, if requested.
    words: tuple[Word, ...] | None = None
