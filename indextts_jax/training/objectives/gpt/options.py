"""The options of the objective `gpt`, as in a recipe, and the parameters that they select."""

import dataclasses

from indextts_jax.config import ModelConfig
from indextts_jax.training.versions.interface import kind_of
from indextts_jax.utils.strict_data import ConfigError

GROUPS: dict[str, tuple[str, ...]] = {
    "trunk": ("gpt.blocks.*", "gpt.trunk_norm.*", "gpt.final_norm.*"),
    "codes": ("gpt.code_embedding.*", "gpt.code_head.*"),
    "text": ("gpt.text_embedding.*", "training_heads.*"),
    "positions": (),  # and of languages: the tables of the version, see `patterns_of`
    "conditioning": ("conditioning.*",),
}
"""Groups of trainable parameters by their names in recipes; the patterns are those of
`Part.trains`.
"""


def patterns_of(group: str, config: ModelConfig) -> tuple[str, ...]:
    """The patterns of a group, for a model."""
    return (*GROUPS[group], *(kind_of(config).POSITIONS if group == "positions" else ()))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LoRAOptions:
    """A low-rank adapter for kernels of the GPT."""

    rank: int
    alpha: float  # the change is scaled by alpha / rank
    dropout: float = 0.05  # dropout rate of its input
    kernels: tuple[str, ...] = ("blocks.attention.*.kernel", "blocks.feed_forward.*.kernel")

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0:
            raise ConfigError(
                f"lora.rank and lora.alpha must be positive, got {self.rank} and {self.alpha}"
            )
        _probability("lora.dropout", self.dropout)

    @property
    def scale(self) -> float:
        """The factor of the change."""
        return self.alpha / self.rank


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GPTOptions:
    """Options of the GPT's training; the defaults are for fine-tuning."""

    train: tuple[str, ...] = ()  # names of `GROUPS`
    lora: LoRAOptions | None = None
    text_weight: float = 0.2  # weight of the text tokens' cross-entropy; 0 needs no text head
    code_weight: float = 0.8
    target_emotion: float = 0.5  # probability of using the clip's emotion instead of the prompt's
    # For training from scratch: probabilities for a residual value, an input code, a text token, a
    # clip.
    dropout: float = 0.0
    code_noise: float = 0.0
    text_dropout: float = 0.0
    shift_codes: float = 0.0  # positions of codes as in generation: 0, 2, 3, ...
    guided_weight: float = 0.0  # initial weight of guided attention
    guided_until: float = 0.4  # share of all steps after which that weight is 0
    guided_reach: int = 2  # text tokens on each side of a code's own
    remat: bool = True

    def __post_init__(self) -> None:
        if unknown := [name for name in self.train if name not in GROUPS]:
            raise ConfigError(f"train: unknown {', '.join(unknown)}; there are {', '.join(GROUPS)}")
        if not self.train and self.lora is None:
            raise ConfigError("nothing trains: name groups in train, or give lora")
        for name in ("target_emotion", "shift_codes"):
            _probability(name, getattr(self, name), whole=True)
        for name in ("dropout", "code_noise", "text_dropout"):
            _probability(name, getattr(self, name))
        for name in ("text_weight", "code_weight", "guided_weight", "guided_reach"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 < self.guided_until <= 1:
            raise ConfigError(f"guided_until must be in (0, 1], got {self.guided_until}")

    @property
    def trains_conditioning(self) -> bool:
        """Whether latents and emotion vectors are computed in the step instead of read."""
        return "conditioning" in self.train


def _probability(name: str, value: float, *, whole: bool = False) -> None:
    if not (0 <= value < 1 or (whole and value == 1)):
        raise ConfigError(f"{name}: expected a probability, got {value}")
