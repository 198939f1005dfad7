"""How semantic encoder and codec are trained: the options of their recipes."""

import dataclasses

from indextts_jax.utils.strict_data import ConfigError

BANDS = 80  # of a filter-bank frame


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TokensOptions:
    """Options of the objective `tokens`: weights of its terms, and how rows are varied."""

    ctc_features: float = 0.3  # CTC of the semantic features
    ctc_codes: float = 1.0  # CTC behind the quantiser
    reconstruction: float = 0.5  # L1 of the decoded codes and the semantic features
    commitment: float = 0.15  # of what the quantiser sees to its rows
    prosody: float = 0.3  # L1 of mel bands and energy predicted from codes and speaker

    free: float = 0.2  # share of the steps at the start, in which nothing is quantised
    decay: float = 0.99  # of the moving averages that the rows are
    idle_steps: int = 500  # after which an unused row is put where a frame is
    free_idle_steps: int = 10  # the same while nothing is quantised: rows follow what moves fast

    speakers: int = 256  # rows of the throw-away speaker embedding; names are hashed to them
    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)
    band_masks: int = 2  # SpecAugment
    band_width: int = 12  # of 80, the widest
    time_masks: int = 2
    time_width: int = 10  # frames of the semantic encoder, the longest

    def __post_init__(self) -> None:
        weights = ("ctc_features", "ctc_codes", "reconstruction", "commitment", "prosody")
        counts = ("band_masks", "band_width", "time_masks", "time_width")
        for name in (*weights, *counts):
            if not 0 <= (value := getattr(self, name)) < float("inf"):
                raise ConfigError(f"{name} must be 0 or more, got {value}")
        if not 0 <= self.free < 1:
            raise ConfigError(f"free must be at least 0 and below 1, got {self.free}")
        if not 0 < self.decay < 1:
            raise ConfigError(f"decay must lie between 0 and 1, got {self.decay}")
        for name in ("idle_steps", "free_idle_steps", "speakers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if not self.speeds or not all(0.5 <= speed <= 2 for speed in self.speeds):
            raise ConfigError(f"speeds must lie in 0.5 .. 2, got {self.speeds}")
        if self.band_width > BANDS:
            raise ConfigError(f"band_width must be at most {BANDS}, got {self.band_width}")
