"""Voices saved on disk: the analysis of a speaker prompt as one small safetensors file.

    save_voice(model, tts.voice("anna.wav"), voice_path("anna"))
    anna = load_voice(model, voice_path("anna"))

What depends on the compute dtype is not saved: one call recomputes the condition from the codes'
features. So a saved voice gives the same samples as its recording, in every dtype.
"""

import dataclasses
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from indextts_jax.config import RELEASES
from indextts_jax.errors import InputError
from indextts_jax.models.components import ANALYSIS
from indextts_jax.runtime.buckets import bucket, pad
from indextts_jax.runtime.model import Model
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.hashing import FileHash, digest, hash_arrays, now
from indextts_jax.utils.paths import user_path
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data
from indextts_jax.voices.analysis import Voice, prompt_condition

FORMAT = 3  # of a voice file; format 1 belongs to checkpoints of format 1, 2 hashes no record
FOLDER = "INDEXTTS_JAX_VOICES"
ENDING = ".safetensors"
LONGEST = 1e6  # seconds of a recording
_NAME = re.compile(r"\w[\w .-]{0,99}")
_KEY = "indextts_jax_voice"
_ARRAYS = {"latents": 3, "base": 2, "own": 2, "style": 2, "mel": 3, "quantized": 3}  # ranks


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VoiceRecord:
    """The metadata of a voice file."""

    format: int
    created: str  # UTC, ISO 8601
    source: FileHash  # the recording
    heard: float  # seconds of it that were used
    start: float = 0.0  # second at which the used excerpt begins
    checkpoint: str  # fingerprint of the components that analysed it
    digest: str  # SHA-256 of the arrays and of the rest of this record
    version: str  # of IndexTTS


def directory() -> Path:
    """The directory of named voices: INDEXTTS_JAX_VOICES, else one in the user's data directory."""
    if chosen := os.environ.get(FOLDER):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        root = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return root / "indextts_jax" / "voices"


def voice_path(name: str) -> Path:
    """The file of a voice, given its name or a path ending in `.safetensors`.

    Raises:
        InputError: for a name that is not a valid file name on every system.
    """
    if name.endswith(ENDING):
        return user_path(name, "the voice")
    if not _NAME.fullmatch(name) or name[-1] in " .":
        raise InputError(
            f"{name!r} is not a valid voice name: expected letters, digits, spaces, '.', '-' and "
            f"'_', or a path ending in {ENDING}"
        )
    return directory() / f"{name}{ENDING}"


def names() -> list[str]:
    """The names of all saved voices."""
    return sorted(path.name.removesuffix(ENDING) for path in directory().glob(f"*{ENDING}"))


def listed() -> str:
    """The names of all voices, for a message."""
    return ", ".join(names()) or "none yet"


def fingerprint(model: Model) -> str:
    """The fingerprint of the components that analyse a voice.

    Raises:
        InputError: for a model that does not come from a checkpoint.
    """
    if model.provenance is None:
        raise InputError(
            "voices can be saved for imported checkpoints only, not for random weights"
        )
    return model.provenance.fingerprint(ANALYSIS)


def save_voice(model: Model, voice: Voice, path: str | Path) -> VoiceRecord:
    """Writes a voice atomically; an existing file is replaced.

    Raises:
        InputError: for a voice without a recording, or a path that cannot be written.
    """
    if voice.source is None:
        raise InputError(
            "the voice does not come from a recording: only voices of recordings can be saved"
        )
    arrays = {name: np.asarray(getattr(voice, name)) for name in _ARRAYS}
    arrays["mel"] = np.ascontiguousarray(arrays["mel"][:, : voice.frames])
    arrays["quantized"] = np.ascontiguousarray(arrays["quantized"][:, : voice.codes])
    record = VoiceRecord(
        format=FORMAT,
        created=now(),
        source=voice.source,
        heard=voice.frames * model.config.mel.hop / model.config.mel.sample_rate,
        start=voice.start,
        checkpoint=fingerprint(model),
        digest="",
        version=model.config.version,
    )
    record = dataclasses.replace(record, digest=digest_of(arrays, record))
    try:
        write_whole(user_path(path, "the voice"), packed(arrays, record))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    return record


def digest_of(arrays: Mapping[str, np.ndarray], record: VoiceRecord) -> str:
    """SHA-256 of all that a voice file holds, apart from this hash itself."""
    return digest([hash_arrays(arrays), to_data(dataclasses.replace(record, digest=""))])


def check_voice(path: Path) -> None:
    """Checks that a file is a voice, damaged or not: one that may be replaced or deleted.

    Raises:
        InputError: if it is something else, or a link.
    """
    if path.is_symlink():
        raise InputError(f"{path} is a link: it is neither replaced nor deleted")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            ours = _KEY in (file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        ours = False
    if not ours:
        raise InputError(
            f"{path} is not a voice file of this program: it is neither replaced nor deleted"
        )


def packed(arrays: Mapping[str, np.ndarray], record: VoiceRecord) -> bytes:
    """The bytes of a voice file."""
    return safetensors.numpy.save(dict(arrays), metadata={_KEY: json.dumps(to_data(record))})


def read_record(path: str | Path) -> VoiceRecord:
    """The metadata of a voice file.

    Raises:
        InputError: if it is not a voice, damaged, or of another format.
    """
    return _open(user_path(path, "the voice"))[0]


def load_voice(model: Model, path: str | Path) -> Voice:
    """A voice from its file, for the model that made it.

    Raises:
        InputError: if it is not a voice, damaged, of another format, or made with another
        checkpoint.
    """
    record, arrays = _open(user_path(path, "the voice"))
    if record.version != model.config.version:
        names = [_release_name(version) for version in (record.version, model.config.version)]
        raise InputError(
            f"the voice {path} was made with {names[0]}, but this checkpoint is {names[1]}: make "
            f"it again from {record.source.name} with python -m indextts_jax.voice create"
        )
    if record.checkpoint != (ours := fingerprint(model)):
        raise InputError(
            f"the voice {path} was made with another checkpoint (fingerprint "
            f"{record.checkpoint[:12]}, this one has {ours[:12]}): make it again from "
            f"{record.source.name} with python -m indextts_jax.voice create"
        )
    buckets = model.buckets
    frames, codes = arrays["mel"].shape[1], arrays["quantized"].shape[1]
    mel = pad(arrays["mel"], bucket(frames, buckets.frames), axis=1)
    quantized = jnp.asarray(pad(arrays["quantized"], bucket(codes, buckets.features), axis=1))
    return Voice(
        **{name: jnp.asarray(arrays[name]) for name in ("latents", "base", "own", "style")},
        mel=jnp.asarray(mel),
        condition=prompt_condition(model, quantized, jnp.asarray([codes], jnp.int32), frames),
        frames=frames,
        quantized=quantized,
        codes=codes,
        source=record.source,
        start=record.start,
    )


def _release_name(version: str) -> str:
    release = RELEASES.get(version)
    return f"version {version:.40}" if release is None else release.name


def _check_format(path: Path, data: object) -> None:
    """Rejects a voice of another format; the other fields are checked later."""
    found = data.get("format") if isinstance(data, dict) else None
    if type(found) is not int or found == FORMAT:
        return
    if found > FORMAT:
        raise InputError(
            f"{path} is a voice of format {found}, from a newer program; this one reads format "
            f"{FORMAT}: upgrade indextts-jax"
        )
    name = path.name.removesuffix(ENDING) if path.parent == directory() else path
    raise InputError(
        f"{path} is a voice of format {found}, from an older program; make it again: python -m "
        f"indextts_jax.voice create {shlex.quote(str(name))} --checkpoint DIR --speaker FILE "
        "--force"
    )


def _open(path: Path) -> tuple[VoiceRecord, Mapping[str, np.ndarray]]:
    if not path.is_file():
        raise InputError(f"voice {path} does not exist; saved voices: {listed()}")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
            if text is None:
                raise InputError(f"{path} is not a voice file of this program")
            data = json.loads(text)
            _check_format(path, data)
            record = from_data(VoiceRecord, data)
            if missing := set(_ARRAYS) - set(file.keys()):
                raise InputError(f"{path} is damaged: {', '.join(sorted(missing))} missing")
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
            for name, array in arrays.items():
                rank = _ARRAYS[name]
                if array.dtype != np.float32 or array.ndim != rank or not array.size:
                    raise InputError(
                        f"{path} is damaged: {name} has shape {array.shape} and type {array.dtype}"
                    )
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (safetensors.SafetensorError, json.JSONDecodeError, ConfigError) as error:
        raise InputError(f"{path} is damaged: {' '.join(str(error).split())[:200]}") from error
    if digest_of(arrays, record) != record.digest:
        raise InputError(f"{path} is damaged: the SHA-256 of its content is not the recorded one")
    if not (0 <= record.start <= LONGEST and 0 < record.heard <= LONGEST):
        raise InputError(
            f"{path} is damaged: its excerpt is {record.heard:g} s long and begins at second "
            f"{record.start:g}"
        )
    return record, arrays
