"""Device memory: what a request needs of it, and settings that keep within a limit.

    fit = fitted("indextts2", parse_size("8GB"), Settings(batch=16))
    tts = IndexTTS.load("indextts2", fit.dtype)
    tts.speak(text, anna, settings=fit.settings)

The figures are those of the compiler: the largest programs are compiled to ask for them.
"""

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from indextts_jax.config import DTYPES
from indextts_jax.engine.settings import Settings, code_limit
from indextts_jax.errors import InputError
from indextts_jax.models.components import ANALYSIS, SPEAKING
from indextts_jax.planning.dry_run import Rehearsal, rehearsal
from indextts_jax.planning.warmup import (
    batch_steps,
    blank_voice,
    blank_voices,
    prompt_steps,
    speech_steps,
)
from indextts_jax.runtime.model import Model, load_model

HALF = "bfloat16"  # holds every number that float32 does: no segment is lost by the choice
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]I?|)B?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Need:
    """Bytes of device memory at the worst moment."""

    parameters: int  # of the components that are used
    program: int  # of the largest program: scratch, results, and arrays that it is given
    largest: str  # which program that is

    @property
    def total(self) -> int:
        """All of it."""
        return self.parameters + self.program

    def __str__(self) -> str:
        """For people."""
        return (
            f"{gigabytes(self.total)} ({gigabytes(self.parameters)} of parameters, "
            f"{gigabytes(self.program)} for {self.largest})"
        )


@dataclasses.dataclass(frozen=True)
class Fit:
    """What was chosen, and what it needs."""

    dtype: str | None  # None: as the checkpoint says
    settings: Settings
    need: Need


def gigabytes(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.2f} GB" if size >= 10**8 else f"{size / 1e6:.0f} MB"


def parse_size(text: str) -> int:
    """Bytes from words like 8GB, 512 MiB.

    Raises:
        InputError: if it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    size = float(found[1]) * _UNITS[found[2].upper()] if found else 0
    if not size >= 1:
        raise InputError(f"{text!r} is no size of memory: expected one like 8GB or 512MiB")
    return int(size)


def parameters(model: Rehearsal, names: tuple[str, ...] = SPEAKING) -> int:
    """Bytes of the parameters of some components."""
    leaves = jax.tree.leaves([model.params[name] for name in names])
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)


def speaking_need(model: Rehearsal, settings: Settings, frames: int | None = None) -> Need:
    """What speaking needs, when the prompt's encoders are gone.

    `frames` are the mel frames of the speaker prompt, by default the most.
    """
    voice = blank_voices(model)[-1] if frames is None else blank_voice(model, frames)
    model.needs.clear()
    steps = batch_steps if settings.batch > 1 else speech_steps
    for step in steps(model, voice, settings, largest=True):
        step.do()
    return _worst(model, SPEAKING)


def analysis_need(model: Rehearsal) -> Need:
    """What the analysis of the longest prompt needs, before anything else is loaded."""
    model.needs.clear()
    prompt_steps(model)[-1].do()
    return _worst(model, (*ANALYSIS, "length_regulator"))


def _worst(model: Rehearsal, names: tuple[str, ...]) -> Need:
    worst = max(model.needs, key=lambda name: model.needs[name], default="nothing")
    return Need(parameters(model, names), model.needs.get(worst, 0), worst)


def fitted(
    checkpoint: str | Path,
    limit: int,
    settings: Settings | None = None,
    *,
    dtype: str | None = None,
    fused_attention: bool = False,
    analyses: bool = True,
    frames: int | None = None,
    least_codes: int = 0,
    watch: Callable[[str], None] = lambda what: None,
) -> Fit:
    """Settings and dtype that keep within so many bytes on the default device.

    Of what is asked, the batch is given up first, then the room for codes (down to `least_codes`,
    which the text surely needs), then, without a `dtype`, full precision. The prompt's encoders are
    taken to be released before the other components are loaded; `analyses` says whether they are
    needed at all.

    Raises:
        InputError: if nothing fits; the message says what the least would be.
    """
    least: Need | None = None
    load = functools.partial(load_model, checkpoint, lazy=True, fused_attention=fused_attention)
    asked = load(dtype=dtype)
    for one, kind in _candidates(asked, settings or Settings(), dtype, least_codes):
        model = rehearsal(load(dtype=kind))
        need = Need(parameters(model), 0, "what has not been looked at")
        if need.total <= limit:
            watch(f"memory of {_told(model, one, kind)}")
            need = speaking_need(model, one, frames)
            if analyses:
                need = max(need, analysis_need(model), key=lambda need: need.total)
        if need.total <= limit:
            return Fit(kind, one, need)
        if least is None or need.total < least.total:
            least = need
    raise InputError(f"--max_memory {gigabytes(limit)} does not do: the least is {least}")


def _candidates(
    model: Model, settings: Settings, dtype: str | None, least_codes: int
) -> Iterator[tuple[Settings, str | None]]:
    most = code_limit(model, settings)
    rungs = [n for n in model.config.buckets.codes if max(1, least_codes) <= n < most]
    batches = list(_halves(settings.batch))
    dtypes = [dtype] if dtype is not None or model.config.compute.gpt != DTYPES[0] else [None, HALF]
    for kind, codes in itertools.product(dtypes, [None, *reversed(rungs)]):
        limit = settings.max_codes if codes is None else codes
        for batch in batches:
            yield dataclasses.replace(settings, batch=batch, max_codes=limit), kind


def _halves(number: int) -> Iterator[int]:
    while number:
        yield number
        number //= 2


def _told(model: Model, settings: Settings, dtype: str | None) -> str:
    return (
        f"batch {settings.batch}, {code_limit(model, settings)} codes, "
        f"{dtype or 'dtypes of the checkpoint'}"
    )


def described(fit: Fit, model: Model) -> str:
    """What was picked, in a line."""
    return f"picked {_told(model, fit.settings, fit.dtype)}: {fit.need}"
