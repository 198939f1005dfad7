"""The parts of a check on a GPU, in order of value, each with what it is thought to cost.

No JAX here: the process that keeps the time must never hold the device.
"""

import dataclasses
from collections.abc import Iterable

DEVICE = "device"
GOLDEN_SETS = ("tiny", "second")
PLAIN, FUSED = "plain", "fused"
# Files of a golden set, by lane, so that what takes longest to compile runs beside the rest;
# `end_to_end` is the one run through all stages.
DECODING = ("gpt", "gpt_latent", "gpt_batch", "gpt_sampling")
REST = (
    *("cfm", "bigvgan", "length_regulator", "codec", "conditioning", "campplus"),
    *("emotion_vector", "audio", "w2v", "end_to_end"),
)
# What fused attention changes; nothing else need be compared again.
OF_FUSED = (*DECODING, "cfm", "end_to_end")


@dataclasses.dataclass(frozen=True)
class Part:
    """Something to find out; it begins only if `estimate` seconds are left."""

    name: str
    function: str  # of `gpu.worker.FUNCTIONS`
    arguments: tuple[str | int, ...] = ()
    estimate: float = 5.0  # seconds, compiling included

    @property
    def limit(self) -> float:
        """Seconds after which it counts as hanging."""
        return 120 + 3 * self.estimate


# Seconds on an H200 with 16 cores: guesses from what compiling took on slower cores, as nothing
# was measured when they were written. The results hold what each part took. A part that follows
# another with the same programs costs less: an utterance follows flow and vocoder.
ESTIMATES = {
    "validate": 12,
    "peaks": 8,
    "codes": 30,
    "profile": 15,
    "flow": 30,
    "vocoder": 60,
    "utterance": 50,
    "batch": 40,
    "voice": 60,
}


def device_part() -> Part:
    """The first part, which all others need."""
    return Part(DEVICE, "device", (), 5)


def validations() -> list[list[Part]]:
    """Float32 against the reference's arrays, in lanes that may run side by side."""

    def part(name: str, form: str, file: str) -> Part:
        title = f"validate {name} {form} {file}"
        return Part(title, "validate", (name, form, file), ESTIMATES["validate"])

    lanes = [(PLAIN, DECODING), (FUSED, OF_FUSED), (PLAIN, REST)]
    return [
        [part(name, form, file) for file in files] for form, files in lanes for name in GOLDEN_SETS
    ]


def speeds(batches: tuple[int, ...]) -> list[Part]:
    """Measurements at the full sizes, one after another in one process."""

    def part(what: str, dtype: str, form: str = PLAIN, *more: int) -> Part:
        name = " ".join(map(str, (what, *more, dtype, form)))
        return Part(name, what, (dtype, form, *more), ESTIMATES[what])

    bf16, f32, f16 = "bfloat16", "float32", "float16"
    few, *many = batches
    return [
        Part("peaks bfloat16", "peaks", (bf16,), ESTIMATES["peaks"]),
        part("codes", bf16),
        part("profile", bf16),
        part("codes", bf16, FUSED),
        part("flow", bf16),
        part("flow", bf16, FUSED),
        part("vocoder", bf16),
        part("utterance", bf16, FUSED),
        Part("peaks float32", "peaks", (f32,), ESTIMATES["peaks"]),
        part("codes", f32),
        part("flow", f32),
        part("profile", bf16, FUSED),
        part("batch", bf16, PLAIN, few),
        *(part("batch", bf16, PLAIN, rows) for rows in many),
        part("utterance", bf16),
        part("vocoder", f32),
        part("utterance", f32),
        part("codes", f32, FUSED),
        part("flow", f32, FUSED),
        *(part("batch", bf16, FUSED, rows) for rows in batches),
        Part("peaks float16", "peaks", (f16,), ESTIMATES["peaks"]),
        part("codes", f16),
        part("flow", f16),
        part("vocoder", f16),
        part("codes", f16, FUSED),
        part("flow", f16, FUSED),
        part("utterance", f32, FUSED),
        part("utterance", f16, FUSED),
        part("voice", f32),
    ]


def cheap(parts: Iterable[Part], estimate: float) -> list[Part]:
    """The same parts for tiny sizes."""
    return [dataclasses.replace(part, estimate=estimate) for part in parts]


def chosen(parts: Iterable[Part], words: Iterable[str]) -> list[Part]:
    """The parts whose name contains one of the words, or all if there are none."""
    wanted = list(words)
    return [p for p in parts if not wanted or any(word in p.name for word in wanted)]
