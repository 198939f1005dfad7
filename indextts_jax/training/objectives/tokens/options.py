"""The options of the objective `tokens`."""

import dataclasses

from indextts_jax.utils.strict_data import ConfigError

BANDS = 80  # bands of a filter-bank frame


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TokensOptions:
    """Options of the objective `tokens`: weights of terms, and augmentation."""

    ctc_features: float = 0.3  # CTC on semantic features
    ctc_codes: float = 1.0  # CTC after the quantiser
    reconstruction: float = 0.5  # L1 between decoded codes and semantic features
    commitment: float = 0.15  # commitment loss
    prosody: float = 0.3  # L1 of prosody (mel bands, energy) from codes and speaker

    free: float = 0.2  # initial share of the steps without quantisation
    decay: float = 0.99  # of the codebook's moving averages
    idle_steps: int = 500  # after which an unused row restarts at a frame
    free_idle_steps: int = 10  # the same during `free`, when features change fast

    speakers: int = 256  # rows of the training-only speaker embedding, indexed by hashed names
    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)
    band_masks: int = 2  # SpecAugment
    band_width: int = 12  # widest masked span, of 80 bands
    time_masks: int = 2
    time_width: int = 10  # longest masked span in encoder frames

    def __post_init__(self) -> None:
        weights = ("ctc_features", "ctc_codes", "reconstruction", "commitment", "prosody")
        counts = ("band_masks", "band_width", "time_masks", "time_width")
        for name in (*weights, *counts):
            if not 0 <= (value := getattr(self, name)) < float("inf"):
                raise ConfigError(f"{name} must be 0 or more, got {value}")
        if not 0 <= self.free < 1:
            raise ConfigError(f"free must be at least 0 and below 1, got {self.free}")
        if not 0 < self.decay < 1:
            raise ConfigError(f"decay must be between 0 and 1, got {self.decay}")
        for name in ("idle_steps", "free_idle_steps", "speakers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if not self.speeds or not all(0.5 <= speed <= 2 for speed in self.speeds):
            raise ConfigError(f"speeds must be 0.5 to 2, got {self.speeds}")
        if self.band_width > BANDS:
            raise ConfigError(f"band_width must be at most {BANDS}, got {self.band_width}")
