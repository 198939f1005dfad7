"""Device memory: how much a request needs, and settings that fit a limit.

    found = fit("indextts2", parse_size("8GB"), Settings(batch=16))
    tts = IndexTTS.open("indextts2", found.run)
    tts.speak(text, anna, settings=found.settings)

The figures come from the compiler: the largest programs are compiled and analysed.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from indextts_jax.config import RunConfig
from indextts_jax.engine.settings import Settings, max_codes_of
from indextts_jax.errors import InputError
from indextts_jax.models.components import ANALYSING, SPEAKING
from indextts_jax.planning.dry_run import DryRunModel, dry_run_model
from indextts_jax.planning.warmup import (
    batch_steps,
    blank_voice,
    blank_voices,
    prompt_steps,
    speech_steps,
)
from indextts_jax.runtime.model import Model, load_model

HALF = "bfloat16"  # has the range of float32: no segment overflows
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]I?|)B?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Need:
    """Peak bytes of device memory."""

    parameters: int  # of the components that are used
    program: int  # of the largest program: scratch, results and arguments
    largest: str  # which program that is

    @property
    def total(self) -> int:
        return self.parameters + self.program

    def __str__(self) -> str:
        return (
            f"{gigabytes(self.total)} ({gigabytes(self.parameters)} of parameters, "
            f"{gigabytes(self.program)} for {self.largest})"
        )


@dataclasses.dataclass(frozen=True)
class Fit:
    """The chosen settings, and the memory that they need."""

    run: RunConfig
    settings: Settings
    need: Need


def gigabytes(size: int) -> str:
    """Bytes in human-readable form."""
    return f"{size / 1e9:.2f} GB" if size >= 10**8 else f"{size / 1e6:.0f} MB"


def parse_size(text: str) -> int:
    """Bytes of a size like 8GB or 512 MiB.

    Raises:
        InputError: if it is not a size, or has no unit.
    """
    found = _SIZE.fullmatch(text.strip())
    size = float(found[1]) * _UNITS[found[2].upper()] if found else 0
    if not size >= 1:
        raise InputError(f"{text!r} is not a memory size: expected one like 8GB or 512MiB")
    if text.strip()[-1].isdigit():
        raise InputError(f"{text!r} has no unit: expected a memory size like 8GB or 512MiB")
    return int(size)


def parameters(model: DryRunModel, names: tuple[str, ...] = SPEAKING) -> int:
    """Bytes of the parameters of some components."""
    leaves = jax.tree.leaves([model.params[name] for name in names])
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)


def speaking_need(model: DryRunModel, settings: Settings, frames: int | None = None) -> Need:
    """Memory for speaking, after the prompt encoders were released.

    `frames` is the number of mel frames of the speaker prompt, by default the largest.
    """
    voice = blank_voices(model)[-1] if frames is None else blank_voice(model, frames)
    model.needs.clear()
    model.given.clear()
    steps = batch_steps if settings.batch > 1 else speech_steps
    for step in steps(model, voice, settings, largest=True):
        step.do()
    # Slots stay in memory while finished segments go through the other stages.
    slots = model.given.get("gpt run", 0)
    for name in model.needs:
        if not name.startswith("gpt "):
            model.needs[name] += slots
    return _worst(model, SPEAKING)


def analysis_need(model: DryRunModel) -> Need:
    """Memory for analysing the longest prompt, before other components are loaded."""
    model.needs.clear()
    prompt_steps(model)[-1].do()
    return _worst(model, ANALYSING)


def _worst(model: DryRunModel, names: tuple[str, ...]) -> Need:
    worst = max(model.needs, key=lambda name: model.needs[name], default="nothing")
    return Need(parameters(model, names), model.needs.get(worst, 0), worst)


def fit(
    checkpoint: str | Path,
    limit: int,
    settings: Settings | None = None,
    run: RunConfig | None = None,
    *,
    analyses: bool = True,
    frames: int | None = None,
    seconds: float = 0.0,
    on_stage: Callable[[str], None] = lambda what: None,
) -> Fit:
    """Settings and a run configuration that fit `limit` bytes on the default device.

    The batch is reduced first, then the capacity for codes (down to `seconds` of speech, which the
    longest segment needs), then, unless a dtype is requested, the precision. The prompt encoders
    are assumed to be released before the other components are loaded; `analyses` says whether they
    are needed at all, `frames` is the length of the prompt.

    Raises:
        InputError: if nothing fits; the message gives the smallest need.
    """
    least: Need | None = None
    requested = run or RunConfig()
    model = load_model(checkpoint, requested, lazy=True)
    least_codes = round(seconds * model.config.codes_per_second)
    for one, kind in _candidates(model, settings or Settings(), requested, least_codes):
        dry = dry_run_model(load_model(checkpoint, kind, lazy=True))
        need = Need(parameters(dry), 0, "programs not yet examined")
        if need.total <= limit:
            on_stage(f"memory of {_choice(model, one, kind)}")
            need = speaking_need(dry, one, frames)
            if analyses:
                need = max(need, analysis_need(dry), key=lambda need: need.total)
        if need.total <= limit:
            return Fit(kind, one, need)
        if least is None or need.total < least.total:
            least = need
    raise InputError(
        f"max_memory {gigabytes(limit)} is too small; this needs at least {least}", "max_memory"
    )


def _candidates(
    model: Model, settings: Settings, run: RunConfig, least_codes: int
) -> Iterator[tuple[Settings, RunConfig]]:
    most = max_codes_of(model, settings)
    smaller = [n for n in model.buckets.codes if max(1, least_codes) <= n < most]
    batches = list(_halvings(settings.batch))
    runs = [run]
    if run.dtype is None:
        runs.append(dataclasses.replace(run, dtype=HALF))
    for kind, codes in itertools.product(runs, [None, *reversed(smaller)]):
        limit = settings.max_codes if codes is None else codes
        for batch in batches:
            yield dataclasses.replace(settings, batch=batch, max_codes=limit), kind


def _halvings(number: int) -> Iterator[int]:
    while number:
        yield number
        number //= 2


def _choice(model: Model, settings: Settings, run: RunConfig) -> str:
    return (
        f"batch {settings.batch}, {max_codes_of(model, settings)} codes, {run.compute_dtype('gpt')}"
    )


def format_fit(fit: Fit, model: Model) -> str:
    """The choice in one line."""
    return f"picked {_choice(model, fit.settings, fit.run)}: {fit.need}"
