"""Finds what rows name: saved voices, recordings of voices and emotions, glossaries."""

import functools
from collections.abc import Callable
from pathlib import Path

import soundfile

from indextts_jax.errors import InputError
from indextts_jax.jobs.plan import Recording
from indextts_jax.jobs.tables import is_address
from indextts_jax.text.glossary import Glossary
from indextts_jax.utils.hashing import hash_file
from indextts_jax.voices import store


@functools.cache
def _digest(path: Path) -> str:
    return hash_file(path).sha256


def finder(fingerprint: str, samples: dict[str, Path]) -> Callable[[str, str, str], Recording]:
    """The function that finds a recording, given its kind, the directory of the table and its name.

    A voice is one of `samples`, or a recording or a voice file beside the table, or the name of a
    saved voice. What cannot be used has a `problem` instead of a digest: the rows that name it are
    refused. `fingerprint` is that of the components that analyse voices.
    """

    def find(kind: str, base: str, name: str) -> Recording:
        try:
            return _find(kind, base, name)
        except (InputError, OSError) as error:
            words = error.strerror if isinstance(error, OSError) else str(error)
            return Recording(path=name, digest="", problem=words or type(error).__name__)

    def _find(kind: str, base: str, name: str) -> Recording:
        if kind == "voice" and name in samples:
            return Recording(path=str(samples[name]), digest=_digest(samples[name]))
        if "\0" in name or len(name) > 4000:
            raise InputError(f"{name!r:.60} is not a name")
        path = Path(name).expanduser()
        if not path.is_absolute():
            path = Path(name) if is_address(base) else Path(base, name)
        if kind == "voice" and (name.endswith(store.ENDING) or not path.is_file()):
            return _voice(path, name)
        if not path.is_file():
            raise InputError(f"{name:.200} does not exist")
        if kind == "glossary":
            Glossary.load(path)
        else:
            try:
                soundfile.info(path)
            except soundfile.SoundFileError as error:
                raise InputError(f"{name:.200} is not readable audio") from error
        return Recording(path=str(path.absolute()), digest=_digest(path))

    def _voice(path: Path, name: str) -> Recording:
        place = path if path.is_file() else store.voice_path(name)
        if not place.is_file():
            raise InputError(f"{name:.200} is neither a recording nor a saved voice")
        record = store.read_record(place)
        if record.checkpoint != fingerprint:
            raise InputError(f"{name:.200} was made with another checkpoint: make it again")
        return Recording(path=str(place.absolute()), digest=record.digest)

    return find
