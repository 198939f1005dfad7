"""Reads the clips of manifests: recording, text, speaker.

    clips = read_manifests([Source("clips.jsonl"), Source("replay.jsonl", 0.15)], Reading())

Columns: `audio` and `text`, and `speaker`; `id`, `language`, `emotion_audio`, `split`, `start` and
    `end` (seconds) are optional. Paths are relative to the manifest.
"""

import dataclasses
import hashlib
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from indextts_jax.errors import InputError, gathered
from indextts_jax.training.data.index import SPLITS
from indextts_jax.training.data.rows.readers import Embedded, Record, embedded_bytes, read_records

COLUMNS = ("audio", "text", "speaker", "id", "language", "emotion_audio", "split", "start", "end")
_SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "dev": "validation"}


class Source(NamedTuple):
    """A manifest, and the share of the epochs in which its clips are used."""

    path: Path
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "Source":
        """`clips.jsonl`, or `replay.jsonl@0.15`.

        Raises:
            InputError: for a weight that is not a number in (0, 1].
        """
        path, mark, weight = text.rpartition("@")
        if not mark or Path(text).exists():
            return cls(Path(text))
        try:
            value = float(weight)
        except ValueError:
            value = math.nan
        if not 0 < value <= 1:
            raise InputError(f"{text}: a manifest's weight must be in (0, 1], got {weight}")
        return cls(Path(path), value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """Options for reading columns."""

    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)  # ours to the manifest's
    one_speaker: bool = False  # clips without a speaker have a common one
    speaker_from_path: int = 0  # which parent directory names the speaker; 0: none
    text: bool = True  # whether `text` is required

    def __post_init__(self) -> None:
        if unknown := set(self.columns) - set(COLUMNS):
            raise InputError(
                f"columns: {', '.join(sorted(unknown))} unknown; expected some of "
                f"{', '.join(COLUMNS)}",
                "columns",
            )
        if self.speaker_from_path < 0:
            raise InputError(
                f"speaker_from_path must be 0 or more, got {self.speaker_from_path}",
                "speaker_from_path",
            )


class Recording(NamedTuple):
    """An audio file, or one embedded in a parquet file."""

    path: Path
    embedded: Embedded | None = None

    def open(self) -> BinaryIO:
        """Opens the file.

        Raises:
            InputError: if it cannot be read.
        """
        if self.embedded is not None:
            return io.BytesIO(embedded_bytes(self.embedded))
        try:
            return self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}") from error

    def content(self) -> bytes | None:
        """The bytes of an embedded recording; None for a file.

        Raises:
            InputError: if they cannot be read.
        """
        return None if self.embedded is None else embedded_bytes(self.embedded)

    def sha256(self) -> str:
        """SHA-256 of the file.

        Raises:
            InputError: if it cannot be read.
        """
        with self.open() as file:
            digest = hashlib.sha256()
            while block := file.read(2**20):
                digest.update(block)
            return digest.hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """One row of a manifest."""

    id: str
    audio: str  # path as in the manifest
    recording: Recording
    text: str
    speaker: str
    place: str  # location, for messages
    language: str | None = None
    emotion: Recording | None = None
    split: str | None = None
    start: float = 0.0  # seconds
    end: float | None = None
    weight: float = 1.0


def read_manifests(sources: Sequence[Source], reading: Reading) -> list[Clip]:
    """Reads the clips of manifests, in order.

    Raises:
        InputError: for a manifest that cannot be read, missing columns, rows without a speaker, or
            repeated ids.
    """
    if not sources:
        raise InputError("manifest: give at least one", "manifest")
    clips = [clip for source in sources for clip in _clips(source, reading)]
    if not clips:
        raise InputError(f"{', '.join(str(s.path) for s in sources)}: no rows")
    counts = Counter(clip.id for clip in clips)
    twice = [clip for clip in clips if counts[clip.id] > 1]
    if twice:
        shown = ", ".join(f"{clip.id} ({clip.place})" for clip in twice[:4])
        raise InputError(f"ids that occur more than once: {shown}; add a column id")
    return clips


def _clips(source: Source, reading: Reading) -> list[Clip]:
    folder = source.path if source.path.is_dir() else source.path.parent
    names = {name: reading.columns.get(name, name) for name in COLUMNS}
    records = list(read_records(source.path))
    needed = ("audio", *(("text",) if reading.text else ()), *reading.columns)
    known: dict[str, None] = {key: None for record in records for key in record.columns}
    missing = [n for n in needed if records and names[n] not in known]
    if missing:
        wanted = ", ".join(names[name] for name in dict.fromkeys(missing))
        raise InputError(
            f"{source.path}: column {wanted} is missing; it has {', '.join(known)}. "
            "Map other names with columns, such as text=sentence",
            "columns",
        )
    problems: list[str] = []
    clips = []
    for record in records:
        try:
            clips.append(_clip(record, names, folder, source, reading))
        except InputError as error:
            problems.append(f"{record.place}: {error}")
    if problems:
        problems = [*problems[:8], *([f"{len(problems) - 8} more"] if len(problems) > 8 else [])]
        raise InputError(gathered(f"in {source.path}", problems), "one_speaker", "columns")
    return clips


def _clip(
    record: Record, names: Mapping[str, str], folder: Path, source: Source, reading: Reading
) -> Clip:
    def value(name: str) -> Any:
        return record.columns.get(names[name])

    audio = value("audio")
    if isinstance(audio, Embedded):
        # Embedded names need not be unique; the row number is.
        shown = f"{audio.file.stem}#{audio.row + 1}" + (f"/{audio.name}" if audio.name else "")
        recording = Recording(audio.file, audio)
    elif isinstance(audio, str) and audio:
        recording, shown = Recording(folder / audio), audio
    else:
        raise InputError(f"{names['audio']}: expected a path, got {audio!r:.60}")
    start, end = _seconds(value("start"), names["start"]), _seconds(value("end"), names["end"])
    cut = f"@{start:g}" if start else ""
    split = value("split")
    if split is not None and split not in _SPLITS:
        raise InputError(f"{names['split']}: expected {' or '.join(SPLITS)}, got {split!r:.40}")
    emotion = value("emotion_audio")
    return Clip(
        id=str(value("id") or shown.rsplit(".", 1)[0] + cut),
        audio=shown,
        recording=recording,
        text=str(value("text") or ""),
        speaker=_speaker(value("speaker"), recording, names["speaker"], reading),
        place=record.place,
        language=str(value("language")) if value("language") else None,
        emotion=Recording(folder / str(emotion)) if emotion else None,
        split=None if split is None else _SPLITS[split],
        start=start or 0.0,
        end=end,
        weight=source.weight,
    )


def _speaker(given: Any, recording: Recording, column: str, reading: Reading) -> str:
    if given is not None and str(given).strip():
        return str(given).strip()
    if reading.speaker_from_path:
        parts = recording.path.parent.parts
        if len(parts) >= reading.speaker_from_path:
            return parts[-reading.speaker_from_path]
        raise InputError(
            f"{recording.path} has fewer than {reading.speaker_from_path} parent directories"
        )
    if reading.one_speaker:
        return "speaker"
    raise InputError(
        f"no {column}: training needs speakers; set one_speaker if all clips are by the same one"
    )


def _seconds(value: Any, column: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise InputError(f"{column}: expected seconds, got {value!r:.40}")
    return number
