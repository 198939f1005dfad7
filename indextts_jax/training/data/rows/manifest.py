"""Clips out of manifests: which recording, which words, whose voice.

    clips = read_manifests([Source("clips.jsonl"), Source("replay.jsonl", 0.15)], Reading())

Columns: `audio` and `text`, and `speaker`; `id`, `language`, `emotion_audio`, `split`, `start` and
`end` (seconds) where they are. Paths are relative to the manifest.
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
    """A manifest, and the share of the epochs that its clips take part in."""

    path: Path
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "Source":
        """`clips.jsonl`, or `replay.jsonl@0.15`.

        Raises:
            InputError: for a weight that is no number above 0 and at most 1.
        """
        path, mark, weight = text.rpartition("@")
        if not mark or Path(text).exists():
            return cls(Path(text))
        try:
            value = float(weight)
        except ValueError:
            value = math.nan
        if not 0 < value <= 1:
            raise InputError(f"{text}: a manifest's weight is above 0 and at most 1, got {weight}")
        return cls(Path(path), value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """How columns are read."""

    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)  # ours to the manifest's
    one_speaker: bool = False  # every clip without a speaker is by the same one
    speaker_from_path: int = 0  # the directory so many steps above the recording; 0: none
    text: bool = True  # whether there has to be one

    def __post_init__(self) -> None:
        if unknown := set(self.columns) - set(COLUMNS):
            raise InputError(
                f"columns: {', '.join(sorted(unknown))} is not known; expected one of "
                f"{', '.join(COLUMNS)}",
                "columns",
            )
        if self.speaker_from_path < 0:
            raise InputError(
                f"speaker_from_path must be 0 or more, got {self.speaker_from_path}",
                "speaker_from_path",
            )


class Recording(NamedTuple):
    """A file of sound, or one inside a parquet file."""

    path: Path
    embedded: Embedded | None = None

    def open(self) -> BinaryIO:
        """The file.

        Raises:
            InputError: if it cannot be read.
        """
        if self.embedded is not None:
            return io.BytesIO(embedded_bytes(self.embedded))
        try:
            return self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}") from error

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
    audio: str  # as the manifest names it
    recording: Recording
    text: str
    speaker: str
    place: str  # for messages
    language: str | None = None
    emotion: Recording | None = None
    split: str | None = None
    start: float = 0.0  # seconds
    end: float | None = None
    weight: float = 1.0


def read_manifests(sources: Sequence[Source], reading: Reading) -> list[Clip]:
    """The clips of manifests, in their order.

    Raises:
        InputError: for a manifest that cannot be read, columns that are missing, rows without a
            speaker, or two rows of one id.
    """
    if not sources:
        raise InputError("manifest: give at least one", "manifest")
    clips = [clip for source in sources for clip in _clips(source, reading)]
    if not clips:
        raise InputError(f"{', '.join(str(s.path) for s in sources)}: there are no rows")
    counts = Counter(clip.id for clip in clips)
    twice = [clip for clip in clips if counts[clip.id] > 1]
    if twice:
        shown = ", ".join(f"{clip.id} ({clip.place})" for clip in twice[:4])
        raise InputError(f"ids that occur more than once: {shown}; give a column id")
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
            f"{source.path}: there is no column {wanted}; it has {', '.join(known)}. "
            "Name others with columns, such as text=sentence",
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
        # Names are only in their own file; the row makes them unique in it.
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
            f"{recording.path} has no {reading.speaker_from_path} directories above it"
        )
    if reading.one_speaker:
        return "speaker"
    raise InputError(
        f"no {column}: voices are learned by speaker; say one_speaker if all clips are by the same"
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
