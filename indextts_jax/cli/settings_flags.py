"""Flags for `Settings` and `RunConfig`, shared by all commands that speak or plan to."""

from typing import Any

from absl import flags as absl_flags

from indextts_jax.cli import text_flags
from indextts_jax.config import COMPUTE_DTYPES, RunConfig
from indextts_jax.engine.pace import Timing
from indextts_jax.engine.settings import Settings
from indextts_jax.runtime import devices
from indextts_jax.sampling.settings import SamplingConfig

SAMPLING = (
    "beams",
    "greedy",
    "temperature",
    "top_k",
    "top_p",
    "repetition_penalty",
    "length_penalty",
    "max_codes",
    "steps",
    "guidance",
)
DELIVERY = ("speed", "duration", "duration_factor", "retries")
RUN = ("device", "dtype", "fused_attention", "deterministic", "batch")


def define(flags: absl_flags.FlagValues) -> None:
    """Defines the flags; the defaults are the reference's."""
    own: dict[str, Any] = {"flag_values": flags}
    usual, sampling = Settings(), SamplingConfig()
    number, whole, switch, choice = (
        absl_flags.DEFINE_float,
        absl_flags.DEFINE_integer,
        absl_flags.DEFINE_bool,
        absl_flags.DEFINE_enum,
    )
    whole("beams", sampling.beams, "Beam width of the code search.", lower_bound=1, **own)
    switch("greedy", False, "Take the most likely codes; no sampling.", **own)
    number("temperature", sampling.temperature, "Sampling temperature.", **own)
    whole("top_k", sampling.top_k, "Sample from this many codes; 0 for all.", lower_bound=0, **own)
    number("top_p", sampling.top_p, "Sample from this share of probability.", **own)
    number(
        "repetition_penalty", sampling.repetition_penalty, "Penalty on codes used before.", **own
    )
    number(
        "length_penalty", sampling.length_penalty, "Exponent of the length in beam scores.", **own
    )
    whole("max_codes", None, "Longest segment, in codes.", lower_bound=1, **own)
    whole("segment_tokens", None, "Longest segment, in text tokens.", lower_bound=1, **own)
    whole("steps", usual.steps, "Flow steps.", lower_bound=1, **own)
    number("guidance", usual.guidance, "Flow guidance; 0 for none.", lower_bound=0.0, **own)
    text_flags.define(flags)
    number("speed", 1.0, "Speed of speech, 0.5 to 2.", **own)
    number("duration", None, "Duration of the whole output in seconds, pauses included.", **own)
    number("duration_factor", None, "Length of speech, 0.5 to 2: the inverse of --speed.", **own)
    whole(
        "retries",
        0,
        "Retries for a segment with faults, each with the next seed; none once a part is out.",
        **own,
    )
    whole("batch", 1, "Segments of a long text to speak at once.", lower_bound=1, **own)
    choice("device", "auto", list(devices.PLATFORMS), "Where to run.", **own)
    choice(
        "dtype",
        None,
        list(COMPUTE_DTYPES),
        "Precision to compute in; by default float32.",
        **own,
    )
    switch(
        "fused_attention",
        None,
        "On NVIDIA GPUs: fused attention kernels, also in decoding (by default only in the flow).",
        **own,
    )
    switch("deterministic", False, "On GPUs: no kernels chosen by timing, for `replay`.", **own)


def settings(flags: Any, usual: Settings | None = None) -> Settings:
    """The settings from the flags; `usual` gives the values of flags that are not set.

    Raises:
        InputError: for invalid settings or a bad glossary.
    """
    usual = usual or Settings()

    def value(name: str, instead: Any) -> Any:
        flag = flags[name]
        # absl: setting a flag by its alias does not clear `using_default_value`.
        given = not flag.using_default_value or flag.value != flag.default
        return flag.value if given else instead

    ours, timing = usual.sampling, usual.timing
    return Settings(
        sampling=SamplingConfig(
            beams=value("beams", ours.beams),
            sample=not value("greedy", not ours.sample),
            temperature=value("temperature", ours.temperature),
            top_k=value("top_k", ours.top_k),
            top_p=value("top_p", ours.top_p),
            repetition_penalty=value("repetition_penalty", ours.repetition_penalty),
            length_penalty=value("length_penalty", ours.length_penalty),
        ),
        max_codes=value("max_codes", usual.max_codes),
        segment_tokens=value("segment_tokens", usual.segment_tokens),
        steps=value("steps", usual.steps),
        guidance=value("guidance", usual.guidance),
        timing=Timing(
            speed=value("speed", timing.speed),
            duration=value("duration", timing.duration),
            duration_factor=value("duration_factor", timing.duration_factor),
        ),
        retries=value("retries", usual.retries),
        batch=value("batch", usual.batch),
        text_compat=value("text_compat", usual.text_compat),
        strict_text=value("strict_text", usual.strict_text),
        quick_tokens=value("quick_tokens", usual.quick_tokens),
        pause=value("pause", usual.pause),
        glossary=text_flags.glossary(flags),
    )


def run_config(flags: Any) -> RunConfig:
    """The run configuration from the flags."""
    return RunConfig(
        dtype=flags.dtype,
        fused_attention=flags.fused_attention,
        deterministic=flags.deterministic,
    )
