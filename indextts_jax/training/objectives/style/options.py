"""The options of the objective `style`."""

import dataclasses

from indextts_jax.utils.strict_data import ConfigError

_SHARES = ("margin_from", "margin_to", "frozen_from", "noise", "reverberation")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StyleOptions:
    """Options of the objective `style`; `margin_from` and similar are shares of all steps."""

    speakers: int  # at least the number of training speakers
    seconds: float = 3.0  # length of a crop
    speeds: tuple[float, ...] = (1.0, 0.9, 1.1)  # each speed makes additional speakers
    scale: float = 32.0
    margin: float = 0.2  # radians, at full size
    margin_from: float = 0.25  # the margin grows from here
    margin_to: float = 0.4  # to here
    frozen_from: float = 0.9  # from here on BatchNorm statistics are frozen
    noise: float = 0.5  # share of rows with added noise
    reverberation: float = 0.5

    def __post_init__(self) -> None:
        for name in _SHARES:
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ConfigError(f"{name} must be 0 to 1, got {value}")
        if self.margin_from > self.margin_to:
            raise ConfigError(f"margin_from {self.margin_from} is after margin_to {self.margin_to}")
        if self.speakers < 2:
            raise ConfigError(f"speakers must be 2 or more, got {self.speakers}")
        if not 0.1 <= self.seconds <= 30:
            raise ConfigError(f"seconds must be 0.1 to 30, got {self.seconds}")
        if not 0 <= self.margin < 1.5 or not 0 < self.scale < float("inf"):
            raise ConfigError(f"margin {self.margin} or scale {self.scale} is out of range")
        if not self.speeds or not all(0.5 <= speed <= 2 for speed in self.speeds):
            raise ConfigError(f"speeds must be 0.5 to 2, got {self.speeds}")
