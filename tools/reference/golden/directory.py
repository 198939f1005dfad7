"""A user's golden directory: prompts, text, stages, and a record of how it was made."""

import dataclasses
import datetime
import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from indextts_jax.errors import InputError
from indextts_jax.utils.atomic import put_in_place, staging
from tools.reference.golden import table
from tools.reference.golden.inputs import Inputs
from tools.reference.golden.recorder import Limits, Recorder
from tools.reference.modules import Files, Reference

FORMAT = 1
PUBLISHED = {
    "top_k": 30,
    "top_p": 0.8,
    "temperature": 0.8,
    "repetition_penalty": 10.0,
}
"""How the published program draws codes."""
BEAMS = {"num_beams": 3, "length_penalty": 0.0}
TYPICAL = {"typical_sampling": True, "typical_mass": 0.9}
SAMPLING = {
    "beam3": {**PUBLISHED, **BEAMS},
    "single": {**PUBLISHED, "num_beams": 1},
    "single_typical": {**PUBLISHED, "num_beams": 1, **TYPICAL},
    "beam3_typical": {**PUBLISHED, **BEAMS, **TYPICAL},
}
CODE_SECONDS = 320 / 16000  # a row of semantic features, at 16 kHz


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asked for."""

    files: Files
    speaker: Path
    emotion: Path
    text: str
    device: str
    stages: Sequence[str]
    limits: Limits
    seed: int
    inputs: Path | None
    """A golden directory whose texts, noise and draws are used again."""
    versions: Mapping[str, str]


def recipe(request: Request) -> dict[str, Any]:
    """Everything that is chosen beside the weights."""
    # Half of the text: by words, or by characters in a script without spaces.
    words = request.text.split() if " " in request.text.strip() else list(request.text.strip())
    joint = " " if " " in request.text.strip() else ""
    return {
        "seed": request.seed,
        "text": request.text,
        "second_text": joint.join(words[: max(1, len(words) // 2)]),
        "emotion_weights": [0.2, 0.0, 0.1, 0.0, 0.0, 0.3, 0.0, 0.15],
        "flow_shorter_by": 23,
        "batch_t": [0.15, 0.62],
        "nearest": [64, 110],
        "sampling": SAMPLING,
        "limits": dataclasses.asdict(request.limits),
    }


def write(
    request: Request, target: Path, *, force: bool, on_stage: Callable[[str, float | None], None]
) -> Path:
    """Writes the golden directory, all of it or nothing.

    `on_stage` gets each step's name as it begins, and again with its seconds at its end.

    Raises:
        InputError: for prompts or a text that cannot be used, or a target that may not be replaced.
    """
    if target.exists() and not (target / "tensors").is_dir() and any(target.iterdir()):
        raise InputError(f"{target} exists and is not a golden directory; it is not replaced")
    with staging(target, force=force, ours=lambda folder: True) as stage:
        folder = stage / "golden"
        (folder / "tensors").mkdir(parents=True)
        prompts = [folder / name for name in ("speaker.wav", "emotion.wav")]
        for source, copy in zip((request.speaker, request.emotion), prompts, strict=True):
            _as_wav(source, copy)
        chosen = recipe(request)
        chosen["semantic_length"] = max(1, int(_seconds(prompts[0]) / CODE_SECONDS) // 2)
        seconds, notes = _stages(request, chosen, folder, prompts, on_stage)
        on_stage("hashes of the published files", None)
        start = time.perf_counter()
        sources = _sources(request)
        on_stage("hashes of the published files", time.perf_counter() - start)
        _json(folder / "recipe.json", chosen)
        _json(folder / "about.json", _about(request, folder, sources, seconds, notes))
        put_in_place(stage, folder, target)
    return target


def _stages(
    request: Request,
    chosen: Mapping[str, Any],
    folder: Path,
    prompts: Sequence[Path],
    on_stage: Callable[[str, float | None], None],
) -> tuple[dict[str, float], list[str]]:
    """Computes and writes every stage; returns the seconds of each, and notes."""
    reference = Reference(request.files, request.device)
    tensors = request.inputs and request.inputs / "tensors"
    recorder = Recorder(reference, Inputs(tensors, request.seed), chosen, request.limits)
    _check_text(recorder)
    seconds: dict[str, float] = {}
    names = list(request.stages)
    computing = table.steps(recorder, *prompts, names)
    name, start = next(computing), time.perf_counter()
    while name:
        on_stage(name, None)
        following = next(computing, "")
        if name == "gpt" and recorder.out["gpt"]["greedy_codes"].shape[1] < 3:
            raise InputError(
                f"the reference gives less than 3 codes for {request.text!r}: choose another text"
            )
        np.savez_compressed(folder / "tensors" / f"{name}.npz", **recorder.out[name])
        seconds[name] = time.perf_counter() - start
        on_stage(name, seconds[name])
        name, start = following, time.perf_counter()
    return seconds, recorder.notes


def _check_text(recorder: Recorder) -> None:
    tokenizer, settings = recorder.ref.tokenizer, recorder.ref.config.gpt
    count = len(tokenizer.convert_tokens_to_ids(tokenizer.tokenize(recorder.recipe["text"])))
    if not 0 < count <= settings.max_text_tokens:
        raise InputError(
            f"--text has {count} text tokens; 1 to {settings.max_text_tokens} fit in the model"
        )
    if recorder.limits.codes > settings.max_mel_tokens:
        raise InputError(f"--codes may be at most {settings.max_mel_tokens} for this model")


def _as_wav(source: Path, target: Path) -> None:
    """A copy of a recording: of the bytes if it is WAV, of the samples otherwise."""
    try:
        kind = soundfile.info(source).format
        if kind in ("WAV", "WAVEX"):
            shutil.copyfile(source, target)
            return
        samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
        soundfile.write(target, samples, rate, subtype="FLOAT")
    except (OSError, soundfile.LibsndfileError) as error:
        raise InputError(f"{source} cannot be read as audio: {error}") from error


def _seconds(path: Path) -> float:
    """Seconds of a recording that the reference uses."""
    seconds = min(soundfile.info(path).duration, 15.0)
    if seconds < 0.5:
        raise InputError(f"a prompt is {seconds:.2f} s long; the speaker needs at least 0.5 s")
    return seconds


def _sources(request: Request) -> list[dict[str, Any]]:
    """Every published file behind the stages, with its hash and the stages that depend on it."""
    behind: dict[str, list[str]] = {}
    for name in request.stages:
        for stage in table.closure([name]):
            for source in table.STAGES[stage].sources:
                behind.setdefault(source, []).append(name)
    return [
        {
            "name": request.files.label(source),
            **_hash(request.files[source]),
            "stages": list(dict.fromkeys(stages)),
        }
        for source, stages in behind.items()
    ]


def _hash(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {
            "size": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def _about(
    request: Request,
    folder: Path,
    sources: list[dict[str, Any]],
    seconds: Mapping[str, float],
    notes: Sequence[str],
) -> dict[str, Any]:
    cuda = request.device.startswith("cuda")
    made = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "format": FORMAT,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **request.versions},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "dtype": "float32",
        "threads": torch.get_num_threads(),
        "sources": sources,
        "stages": {name: round(value, 2) for name, value in seconds.items()},
        "not_recorded": [name for name in table.STAGES if name not in seconds],
        "notes": list(notes),
        "files": [{"name": path.relative_to(folder).as_posix(), **_hash(path)} for path in made],
    }


def _json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
