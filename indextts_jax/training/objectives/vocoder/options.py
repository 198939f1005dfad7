"""How the vocoder is trained: the options of its recipes."""

import dataclasses

from indextts_jax.utils.strict_data import ConfigError

INPUTS = ("mel", "flow_mel")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DiscriminatorOptions:
    """Sizes of the discriminators; the defaults are BigVGAN's and UnivNet's."""

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    period_widths: tuple[int, ...] = (32, 128, 512, 1024, 1024)
    windows: tuple[int, ...] = (1024, 2048, 512)  # samples, of the spectra
    window_width: int = 32  # channels

    def __post_init__(self) -> None:
        sizes = (*self.periods, *self.period_widths, self.window_width)
        if not self.periods and not self.windows:
            raise ConfigError("discriminators: there must be periods or windows")
        if any(size < 1 for size in sizes) or not self.period_widths:
            raise ConfigError("discriminators: periods and widths must be positive")
        if any(window < 8 or window % 4 for window in self.windows):
            raise ConfigError(
                f"discriminators.windows must be multiples of 4 from 8 on, got {self.windows}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VocoderOptions:
    """Options of the objective `vocoder`; the defaults are those of fine-tuning."""

    segment: int = 65_536  # samples of a row
    discriminators: DiscriminatorOptions | None = DiscriminatorOptions()  # none: mel loss alone
    mel_weight: float = 15.0
    feature_weight: float = 2.0
    remat: bool = False  # the backward pass computes blocks again, which takes less memory
    inputs: str = "mel"  # of the recordings, or as the flow makes it

    def __post_init__(self) -> None:
        if self.segment < 32:
            raise ConfigError(f"segment must be 32 samples or more, got {self.segment}")
        for name in ("mel_weight", "feature_weight"):
            if not 0 <= (value := getattr(self, name)) < float("inf"):
                raise ConfigError(f"{name} must be 0 or more, got {value}")
        if self.inputs not in INPUTS:
            raise ConfigError(f"inputs must be one of {', '.join(INPUTS)}, got {self.inputs!r:.40}")
