"""The arrays of each stage, as the PyTorch reference computes them."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from tools.reference.golden import codes, prompt, sound
from tools.reference.golden.inputs import Inputs
from tools.reference.golden.recorder import Arrays, Limits, Recorder
from tools.reference.modules import MODULES, Reference


@dataclasses.dataclass(frozen=True)
class Stage:
    """One file of a golden set: its function, the stages before it, and its modules."""

    make: Callable[..., None]
    after: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Published files that its arrays depend on, besides those of the stages before."""


STAGES = {
    "audio": Stage(prompt.audio, (), (), ("config", "w2v_bert_features")),
    "w2v": Stage(prompt.w2v, ("audio",), ("w2v",), ("w2v_bert", "w2v_bert_config", "w2v_stat")),
    "codec": Stage(prompt.codec, ("w2v",), ("codec",), ("semantic_codec",)),
    "campplus": Stage(prompt.campplus, ("audio",), ("campplus",), ("campplus",)),
    "conditioning": Stage(prompt.conditioning, ("w2v",), ("gpt",), ("gpt",)),
    "emotion_vector": Stage(
        prompt.emotion_vector, ("campplus", "conditioning"), (), ("spk_matrix", "emo_matrix")
    ),
    "gpt": Stage(codes.gpt, ("conditioning",), ("gpt",), ("tokenizer",)),
    "gpt_batch": Stage(codes.gpt_batch, ("gpt",), ("gpt",)),
    "gpt_sampling": Stage(codes.gpt_sampling, ("gpt",), ("gpt",)),
    "gpt_latent": Stage(codes.gpt_latent, ("gpt",), ("gpt",)),
    "length_regulator": Stage(
        sound.length_regulator, ("codec", "gpt_latent"), ("codec", "_s2mel"), ("s2mel",)
    ),
    "cfm": Stage(sound.cfm, ("length_regulator", "campplus"), ("_s2mel",)),
    "bigvgan": Stage(sound.bigvgan, ("audio",), ("bigvgan",), ("bigvgan", "bigvgan_config")),
    "end_to_end": Stage(sound.end_to_end, ("cfm", "bigvgan", "emotion_vector"), ("bigvgan",)),
}
"""In the order of the work."""


def closure(names: Iterable[str]) -> list[str]:
    """The stages named and all that they start from, in the order of the work."""
    wanted = set(names)
    for name in reversed(STAGES):
        if name in wanted:
            wanted |= set(STAGES[name].after)
    return [name for name in STAGES if name in wanted]


def steps(recorder: Recorder, speaker: Path, emotion: Path, names: Iterable[str]) -> Iterator[str]:
    """Computes the stages in order, yielding each name first; frees modules after their use."""
    names = list(names)
    for index, name in enumerate(names):
        yield name
        stage, device = STAGES[name], recorder.ref.device
        # Features are made on the CPU, as in the reference's own pipeline.
        placed = contextlib.nullcontext() if name == "audio" else torch.device(device)
        with torch.no_grad(), placed:
            stage.make(recorder, speaker, emotion) if name == "audio" else stage.make(recorder)
        later = {module for other in names[index + 1 :] for module in STAGES[other].modules}
        recorder.ref.free(*(module for module in MODULES if module not in later))


def compute(
    reference: Reference,
    speaker: Path,
    emotion: Path,
    inputs: Inputs,
    recipe: Mapping[str, Any],
    limits: Limits | None = None,
) -> tuple[dict[str, Arrays], list[str]]:
    """All arrays by stage, and notes on how close the discrete choices were to ties."""
    recorder = Recorder(reference, inputs, recipe, limits)
    for _ in steps(recorder, speaker, emotion, STAGES):
        pass
    return recorder.out, recorder.notes
