"""The work that is timed: lengths, settings, and input arrays.

It needs only NumPy, so that both sides can import it. Weights may be random and never stop, so the
number of codes is part of the work: the stop code is forbidden on both sides.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

STAGES = (
    "semantic_encoder",
    "semantic_codec",
    "style_encoder",
    "conditioning",
    "codes",
    "latents",
    "flow",
    "vocoder",
)
"""In the order of the work; `flow` is regulator and flow."""

PASSES = {"semantic_encoder": 2}
"""How often a stage runs for a new voice, if not once: the speaker's and the emotion's route."""
PROMPT_STAGES = STAGES[:4]

CODES_PER_SECOND = 50
FRAMES_PER_CODE = 1.72  # mel frames
CHARACTERS_PER_SECOND = 14  # of English read at a usual pace
NEVER = -30000.0  # a bias that no float16 overflows at, for codes that may not be chosen

TEXTS = {
    7: "Thanks.",
    16: "Good to see you.",
    28: "The train leaves at a dozen.",
    80: "The old lighthouse keeper walked down to the harbour to watch the ships come in.",
    200: (
        "When the rain had stopped at last, the children ran into the garden, searched for the "
        "small green frog that lived under the stone beside the pond, and found it asleep in the "
        "afternoon sun, quite warm!"
    ),
}
"""Texts by their number of characters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """One utterance; `prompt` is in seconds."""

    prompt: float = 5.0
    tokens: int = 30
    codes: int = 100
    steps: int = 25
    beams: int = 3
    guidance: float = 0.7
    sample: bool = False
    seed: int = 0

    @property
    def banks(self) -> int:
        """Rows of filter banks of the prompt: 25 ms windows every 10 ms."""
        return 1 + (int(16000 * self.prompt) - 400) // 160

    @property
    def features(self) -> int:
        """Rows of the semantic encoder: two windows each."""
        return -(-self.banks // 2)

    @property
    def prompt_frames(self) -> int:
        """Mel frames of the prompt."""
        return int(22050 * self.prompt) // 256

    @property
    def frames(self) -> int:
        """Mel frames to be made."""
        return int(FRAMES_PER_CODE * self.codes)

    @property
    def seconds(self) -> float:
        """Seconds of audio to be made."""
        return self.frames * 256 / 22050


def codes_for(characters: int) -> int:
    """Codes of a text of that many characters, at a usual speaking rate."""
    return round(CODES_PER_SECOND * characters / CHARACTERS_PER_SECOND)


def inputs(stage: str, work: Work, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Arrays for a stage, by name, time before channels; the same for the same seed.

    Normal numbers, but ids: time does not depend on values.
    """
    if stage not in STAGES:
        raise ValueError(f"no stage {stage}; there are {', '.join(STAGES)}")
    random = np.random.default_rng([work.seed, STAGES.index(stage)])

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return scale * random.standard_normal(shape, np.float32)

    def ids(count: int, below: int) -> np.ndarray:
        return random.integers(2, below, (1, count)).astype(np.int32)

    speaking = {
        "latents": normal(1, sizes["latents"], sizes["width"]),
        "emotion": normal(1, sizes["width"]),
        "text": ids(work.tokens, sizes["text"]),
        "codes": ids(work.codes, sizes["codes"]),
    }
    match stage:
        case "semantic_encoder":
            return {"features": normal(1, work.features, sizes["features"])}
        case "semantic_codec" | "conditioning":
            return {"semantic": normal(1, work.features, sizes["semantic"])}
        case "style_encoder":
            return {"banks": normal(1, work.banks, sizes["banks"])}
        case "codes" | "latents":
            return speaking
        case "flow":
            return {
                "hidden": normal(1, work.codes, sizes["width"]),
                "codes": speaking["codes"],
                "mel": normal(1, work.prompt_frames, sizes["mels"]),
                "condition": normal(1, work.prompt_frames, sizes["condition"]),
                "style": normal(1, sizes["style"]),
                "noise": normal(1, work.prompt_frames + work.frames, sizes["mels"]),
            }
        case _:
            return {"mel": normal(1, work.frames, sizes["mels"])}
