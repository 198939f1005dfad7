"""Which attention heads of a checkpoint follow the text: `alignment.json` beside its components.

The file belongs to the GPT that it was made with: it names the fingerprint, and with any other GPT
it is refused.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from indextts_jax.checkpoint.provenance import Provenance
from indextts_jax.checkpoint.reading import ALIGNMENT, Checkpoint
from indextts_jax.config import ModelConfig
from indextts_jax.errors import Failure, InputError
from indextts_jax.models.gpt import Heads
from indextts_jax.utils import hashing
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data

FORMAT = 1
_AGAIN = "python -m indextts_jax.align calibrate makes it again"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ScoredHead:
    """A head, and how well its attention follows a text."""

    layer: int
    head: int
    score: float  # 0 to 1, see `timings.heads`


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """The heads that give the times of words, the best first."""

    format: int
    created: str  # UTC, ISO 8601
    fingerprint: str  # of the GPT
    sentences: int  # that the heads were chosen with
    heads: tuple[ScoredHead, ...]

    @property
    def places(self) -> Heads:
        """Layer and head of each."""
        return tuple((one.layer, one.head) for one in self.heads)


def fingerprint(record: Provenance) -> str:
    """The fingerprint of the GPT that a file of heads belongs to.

    Raises:
        InputError: if the checkpoint has no digest of it.
    """
    return record.fingerprint(["gpt"])


def parse(data: bytes, record: Provenance, config: ModelConfig) -> Alignment:
    """The heads in the bytes of a file, for a model with this provenance.

    Raises:
        InputError: if the file is damaged, of another format, or made with another GPT.
    """
    try:
        found = from_data(Alignment, json.loads(data))
    except (ConfigError, ValueError, RecursionError) as error:
        raise InputError(f"{ALIGNMENT} is damaged: {error!s:.200}; {_AGAIN}") from error
    if found.format != FORMAT:
        raise InputError(
            f"{ALIGNMENT} has format {found.format}; this program reads format {FORMAT}; {_AGAIN}"
        )
    if found.fingerprint != fingerprint(record):
        raise InputError(f"{ALIGNMENT} was made with another GPT; {_AGAIN}")
    layers, heads = config.gpt.layers, config.gpt.heads
    inside = all(0 <= layer < layers and 0 <= head < heads for layer, head in found.places)
    if not found.heads or not inside or len(set(found.places)) < len(found.heads):
        raise InputError(
            f"{ALIGNMENT} is damaged: expected different heads of {layers} layers with {heads} "
            f"heads each; {_AGAIN}"
        )
    return found


def write(saved: Checkpoint, heads: Sequence[ScoredHead], sentences: int) -> Path:
    """Writes the heads beside a checkpoint's components, atomically.

    Raises:
        Failure: if the file cannot be written.
    """
    made = Alignment(
        format=FORMAT,
        created=hashing.now(),
        fingerprint=fingerprint(saved.provenance),
        sentences=sentences,
        heads=tuple(heads),
    )
    path = saved.path / ALIGNMENT
    try:
        write_whole(path, (json.dumps(to_data(made), indent=1) + "\n").encode())
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror or error}") from error
    return path
