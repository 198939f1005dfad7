"""One segment of a stream: its codes as they come, and what was made of them."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Float32, Int, Key

from indextts_jax.engine.streaming.chunks import UNIT
from indextts_jax.engine.streaming.frames import FrameMap
from indextts_jax.runtime.versions.interface import GrowingRows
from indextts_jax.voices.analysis import Voice


class Prompt(NamedTuple):
    """What the flow reads of a voice, on the host."""

    mel: Float[np.ndarray, "f m"]
    condition: Float[np.ndarray, "f c"]
    style: Float[np.ndarray, " s"]
    size: int  # padded frames


def host_prompt(voice: Voice) -> Prompt:
    """The prompt of a voice, copied from the device once."""
    mel, condition, style = (np.asarray(a)[0] for a in (voice.mel, voice.condition, voice.style))
    return Prompt(mel[: voice.frames], condition[: voice.frames], style, len(mel))


@dataclasses.dataclass
class SegmentStream:
    """A segment that is spoken in chunks.

    Whoever decodes calls `extend` with all codes that are certain so far, and `end` when there
    will be no more.
    """

    key: Key[Array, ""]  # of the flow's noise
    frame_map: FrameMap
    growing: GrowingRows
    prompt: Prompt
    codes: Int[np.ndarray, " n"] = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    frames: int | None = None  # of the whole segment, when it has ended
    spoken: int = 0  # codes of the chunks so far
    mel: Float[np.ndarray, "f m"] | None = None  # of the chunks so far
    voiced: int = 0  # frames whose samples were made
    seams: list[int] = dataclasses.field(default_factory=list)  # frames where chunks meet

    def extend(self, codes: Int[np.ndarray, " n"]) -> None:
        """Takes the codes that are certain so far."""
        self.codes = codes

    def end(self, codes: Int[np.ndarray, " n"], frames: int) -> None:
        """Takes all codes, and the number of frames of the whole segment."""
        self.codes, self.frames = codes, frames

    @property
    def ended(self) -> bool:
        """Whether all codes are known."""
        return self.frames is not None

    @property
    def complete(self) -> bool:
        """Whether all samples were made."""
        return self.ended and self.voiced == self.frames

    def wanted(self, size: int) -> int:
        """Codes that must still become certain before a chunk of `size` codes can be made."""
        known = len(self.codes)
        return 0 if self.ended else max(0, self.spoken + size + self.frame_map.look_ahead - known)

    def fits(self, size: int) -> bool:
        """Whether all codes are known, and few are left behind a chunk of `size` codes."""
        left = len(self.codes) - self.spoken
        return self.ended and left < size + self.frame_map.look_ahead + UNIT

    def cut(self, size: int) -> "Chunk":
        """The next chunk, of `size` codes; of all that are left, if few are left behind it."""
        assert not self.wanted(size)
        start = 0 if self.mel is None else len(self.mel)
        if self.fits(size):
            assert self.frames is not None
            return Chunk(self, len(self.codes), start, self.frames, self.frames, last=True)
        codes = self.spoken + size
        end = self.frame_map.frames(codes)
        known = self.frame_map.frames(len(self.codes))
        known = known if self.frames is None else min(known, self.frames)
        return Chunk(self, codes, start, end, known, last=False)


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A chunk that can be made now: the frames from `start` to `end`, of `known` ones."""

    stream: SegmentStream
    codes: int  # of the segment, up to the end of this chunk
    start: int
    end: int
    known: int  # frames that the codes so far make, as far as the condition is made of them
    last: bool

    def take(self, mel: Float[np.ndarray, "f m"]) -> None:
        """Adds the chunk's mel to that of the segment."""
        stream = self.stream
        if stream.mel is not None:
            stream.seams.append(self.start)
            mel = np.concatenate([stream.mel, mel])
        stream.mel, stream.spoken = mel, self.codes


@dataclasses.dataclass(frozen=True)
class Wave:
    """The samples of a chunk, not clipped, and the frames of the segment that they are."""

    samples: Float32[np.ndarray, " n"]
    start: int
    end: int
