"""The options of the objective `flow`, as a recipe gives them."""

import dataclasses

from indextts_jax.utils.strict_data import ConfigError

TRAINED = ("dit", "length_regulator")  # trainable components
_SHARES = ("own_prompts", "empty_prompt", "latents", "guidance_dropout")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FlowLoRA:
    """A low-rank adapter for kernels of the velocity field."""

    rank: int
    alpha: float  # the change is scaled by alpha / rank
    kernels: tuple[str, ...] = (
        "blocks.attention.*.kernel",
        "blocks.feed_forward.*.kernel",
        "skips.kernel",
    )

    def __post_init__(self) -> None:
        if self.rank < 1 or not 0 < self.alpha < float("inf"):
            raise ConfigError(
                f"lora.rank and lora.alpha must be positive, got {self.rank} and {self.alpha}"
            )

    @property
    def scale(self) -> float:
        """The factor of the change."""
        return self.alpha / self.rank


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FlowOptions:
    """Options of the flow's training; shares are of rows; the defaults are for fine-tuning."""

    train: tuple[str, ...] | None = None  # of `TRAINED`; default: both, or none with `lora`
    lora: FlowLoRA | None = None
    own_prompts: float = 0.8  # share of prompts from the clip itself; others come from another clip
    empty_prompt: float = 0.1  # share of those without any prompt frames
    prompt_seconds: float = 3.0  # seconds of another clip, at most
    # Share of targets with the GPT's latents added; 0 needs no latents, and is all that version 2.5
    # has.
    latents: float = 0.9
    guidance_dropout: float = 0.1  # share of rows without prompt, style and condition
    wavenet_dropout: float = 0.0  # dropout rate; 0.2 from scratch
    style_jitter: float = 0.0  # noise on the style vector relative to its RMS; 0.02 from scratch
    remat: bool = True  # the backward pass recomputes layers, to save memory
    evaluation_steps: int = 10  # flow steps for the validation's mel
    evaluation_guidance: float = 0.7  # guidance for the validation's mel; 0: no unconditional rows

    def __post_init__(self) -> None:
        if unknown := [name for name in self.train or () if name not in TRAINED]:
            raise ConfigError(
                f"train: unknown {', '.join(unknown)}; there are {', '.join(TRAINED)}"
            )
        if self.train == () and self.lora is None:
            raise ConfigError("nothing trains: name components in train, or give lora")
        for name in _SHARES:
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise ConfigError(f"{name} must be 0 to 1, got {share}")
        if not 0 <= self.wavenet_dropout < 1:
            raise ConfigError(f"wavenet_dropout must be 0 to 1, got {self.wavenet_dropout}")
        for name in ("style_jitter", "evaluation_guidance"):
            if not 0 <= (value := getattr(self, name)) < float("inf"):
                raise ConfigError(f"{name} must be 0 or more, got {value}")
        if not 0 < self.prompt_seconds < float("inf"):
            raise ConfigError(f"prompt_seconds must be positive, got {self.prompt_seconds}")
        if self.evaluation_steps < 1:
            raise ConfigError(f"evaluation_steps must be at least 1, got {self.evaluation_steps}")

    @property
    def trained(self) -> tuple[str, ...]:
        """Components that are trained fully."""
        if self.train is not None:
            return self.train
        return () if self.lora else TRAINED
