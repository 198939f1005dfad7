"""What an output was made with: written into it, and enough to make it again."""

import dataclasses
import hashlib
import json
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from indextts_jax.engine.request import Request
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS
from indextts_jax.runtime import devices
from indextts_jax.runtime.model import Model
from indextts_jax.text.glossary import Glossary
from indextts_jax.utils import hashing
from indextts_jax.utils.hashing import Version
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

FORMAT = 1
_MARK = "indextts_jax "  # begins the comment
_UNHEARD = ("text_emotion",)  # weights that are read from words are in the recipe themselves


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What was asked for, what answered, and a hash of the answer."""

    format: int
    created: str  # UTC, ISO 8601
    versions: tuple[Version, ...]
    device: str
    checkpoint: str  # fingerprint of the components that speak
    dtype: str | None  # as asked for; by default the checkpoint's configuration said
    fused_attention: bool = False
    samples: str  # SHA-256 of the float32 samples
    request: Request


def fingerprint(model: Model) -> str:
    """The fingerprint of the components that speak.

    Raises:
        InputError: for a model that came from no checkpoint.
    """
    if model.provenance is None:
        raise InputError("random weights have no fingerprint")
    return model.provenance.fingerprint(name for name in COMPONENTS if name not in _UNHEARD)


def hash_samples(samples: Float32[np.ndarray, " n"]) -> str:
    """SHA-256 of samples."""
    return hashlib.sha256(samples.astype("<f4").tobytes()).hexdigest()


def write_down(
    model: Model,
    request: Request,
    samples: Float32[np.ndarray, " n"],
    device: jax.Device,
    dtype: str | None,
) -> Recipe:
    """The recipe of samples that have just been made."""
    return Recipe(
        format=FORMAT,
        created=hashing.now(),
        versions=hashing.versions(),
        device=devices.describe(device),
        checkpoint=fingerprint(model),
        dtype=dtype,
        fused_attention=model.config.dit.fused_attention,
        samples=hash_samples(samples),
        request=request,
    )


def to_comment(recipe: Recipe) -> str:
    """The recipe as the comment of an audio file: one line of ASCII."""
    glossary = recipe.request.settings.glossary
    plain = dataclasses.replace(
        recipe,
        request=dataclasses.replace(
            recipe.request,
            settings=dataclasses.replace(recipe.request.settings, glossary=None),
        ),
    )
    data = to_data(plain)
    if glossary is not None:
        data["glossary"] = {term: dict(readings) for term, readings in glossary.terms.items()}
    return _MARK + json.dumps(data)


def from_comment(comment: str, where: str) -> Recipe:
    """The recipe in the comment of an audio file called `where`.

    Raises:
        InputError: if there is none, or one that this program cannot read.
    """
    if not comment.startswith(_MARK):
        raise InputError(
            f"{where} does not say what it was made with: this program wrote no recipe"
        )
    try:
        data: Any = json.loads(comment.removeprefix(_MARK))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: its recipe is damaged: {error!s:.120}") from error
    found = data.get("format") if isinstance(data, dict) else None
    if type(found) is not int:
        raise InputError(f"{where}: its recipe is damaged: it names no format")
    if found > FORMAT:
        raise InputError(
            f"{where}: its recipe has format {found}, from a newer program; this one reads up to "
            f"format {FORMAT}: upgrade indextts-jax"
        )
    terms = data.pop("glossary", None)
    try:
        if not isinstance(terms, dict | None):
            raise ConfigError("glossary: expected terms and readings")
        recipe = from_data(Recipe, data)
    except InputError as error:  # ConfigError, or of settings that cannot be
        raise InputError(f"{where}: its recipe is damaged: {error!s:.200}") from error
    if terms is None:
        return recipe
    settings = dataclasses.replace(recipe.request.settings, glossary=Glossary.of(terms, where))
    request = dataclasses.replace(recipe.request, settings=settings)
    return dataclasses.replace(recipe, request=request)
