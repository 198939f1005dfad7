"""How many mel frames a text gets: by the reference's rate, a speed, or a duration."""

import dataclasses
import math
from collections.abc import Sequence

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.runtime.versions.registry import version_of

SLOWEST, FASTEST = 0.5, 2.0  # the length regulator was trained at 1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """The requested timing: a speed (1 is the model's own), a factor of the frames, or seconds.

    `duration_factor` is the inverse of a speed, as IndexTTS-2.5 takes it: above 1 is slower.
    `duration` is that of the whole output.
    """

    speed: float = 1.0
    duration: float | None = None
    duration_factor: float | None = None

    def __post_init__(self) -> None:
        if not SLOWEST <= self.speed <= FASTEST:
            raise InputError(f"speed must be {SLOWEST} to {FASTEST}, got {self.speed}", "speed")
        factor = self.duration_factor
        if factor is not None and not 1 / FASTEST <= factor <= 1 / SLOWEST:
            raise InputError(
                f"duration_factor must be {1 / FASTEST} to {1 / SLOWEST}, got {factor}",
                "duration_factor",
            )
        if factor is not None and self.speed != 1:
            raise InputError(
                "speed and duration_factor are mutually exclusive", "speed", "duration_factor"
            )
        if self.duration is None:
            return
        if factor is not None:
            raise InputError(
                "duration and duration_factor are mutually exclusive",
                "duration",
                "duration_factor",
            )
        if not 0 < self.duration < math.inf:
            raise InputError(f"duration must be above 0 s, got {self.duration}", "duration")
        if self.speed != 1:
            raise InputError("speed and duration are mutually exclusive", "speed", "duration")

    @property
    def pace(self) -> float:
        """The speed, however it was given; that of a duration is not known before."""
        return self.speed if self.duration_factor is None else 1 / self.duration_factor


def frames_of(codes: Sequence[int], timing: Timing, silence: int, config: ModelConfig) -> list[int]:
    """Mel frames for each segment, from the number of its codes.

    `silence` is the number of silent samples between and after segments; a duration includes them.
    The whole then differs from the duration by less than half a frame.

    Raises:
        InputError: for a duration that needs less than half or more than double the speed.
    """
    rate, sample_rate, hop = config.frames_per_code, config.mel.sample_rate, config.mel.hop
    frames = version_of(config).frames
    if timing.duration is None:
        speed, factor = timing.speed, timing.duration_factor
        return [max(1, frames(count, rate, speed=speed, factor=factor)) for count in codes]
    own = sum(frames(count, rate) for count in codes)
    total = round((timing.duration * sample_rate - silence) / hop)
    shortest, longest = math.ceil(own / FASTEST), math.floor(own / SLOWEST)
    if not shortest <= total <= longest:
        first, last = ((frames * hop + silence) / sample_rate for frames in (shortest, longest))
        raise InputError(
            f"duration {timing.duration:g} s cannot be met: this text takes {first:.2f} to "
            f"{last:.2f} s (speeds {FASTEST:g} to {SLOWEST:g})",
            "duration",
        )
    return _shares(total, codes)


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """Integers in proportion to the weights, with this total, by the largest-remainder method."""
    exact = [total * weight / sum(weights) for weight in weights]
    shares = [math.floor(share) for share in exact]
    order = sorted(range(len(weights)), key=lambda i: shares[i] - exact[i])
    for i in order[: total - sum(shares)]:
        shares[i] += 1
    return shares
