"""Results of rows, and the two files of a pack: its recordings and its rows.

The recordings are a Parquet file with an `audio` column, as Hugging Face `datasets` writes it, or a
WebDataset: a tar with `KEY.flac` and `KEY.json` for each row.
"""

import dataclasses
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from indextts_jax.jobs.rows import FAULTY, OK, Row
from indextts_jax.utils.parquet import modules

SPOKEN = (OK, FAULTY)  # statuses of rows that have a recording


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a row; one without `flac` was not spoken."""

    status: str
    reasons: tuple[str, ...] = ()
    flac: bytes = b""
    sample_rate: int = 0  # Hz
    samples: int = 0
    codes: int = 0
    codes_hash: str = ""
    tries: int = 0  # of the segment that took most
    faults: tuple[str, ...] = ()  # kinds
    compute: float = 0.0  # seconds

    @property
    def seconds(self) -> float:
        """Seconds of audio."""
        return self.samples / self.sample_rate if self.sample_rate else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """A row, its key, and what became of it."""

    row: Row
    key: str
    outcome: Outcome
    same_as: int | None = None  # number of the row that it equals

    def about(self) -> dict[str, Any]:
        """What the set says of a spoken row, without its recording."""
        row, made = self.row, self.outcome
        return {
            "id": row.id,
            "text": row.text,
            "speaker": row.speaker,
            "voice": row.voice,
            "language": row.language,
            "seconds": round(made.seconds, 6),
            "status": made.status,
            "key": self.key,
        }


def _rows_schema(pa: Any) -> Any:
    whole, words = pa.int64(), pa.list_(pa.string())
    fields = {
        "row": whole,
        "id": pa.string(),
        "key": pa.string(),
        "status": pa.string(),
        "reasons": words,
        "same_as": whole,
        "seconds": pa.float64(),
        "samples": whole,
        "sample_rate": whole,
        "codes": whole,
        "codes_hash": pa.string(),
        "seed": whole,
        "tries": whole,
        "faults": words,
        "real_time_factor": pa.float64(),
        "worker": pa.string(),
        "place": pa.string(),
    }
    return pa.schema(list(fields.items()))


def write_rows(path: Path, results: Sequence[Result], worker: str) -> None:
    """Writes the table of results; each row of the pack is there once."""
    pa, parquet = modules("a data set")
    records = []
    for result in results:
        made = result.outcome
        records.append(
            {
                "row": result.row.number,
                "id": result.row.id,
                "key": result.key,
                "status": made.status,
                "reasons": list(made.reasons),
                "same_as": result.same_as,
                "seconds": made.seconds,
                "samples": made.samples,
                "sample_rate": made.sample_rate,
                "codes": made.codes,
                "codes_hash": made.codes_hash,
                "seed": result.row.seed,
                "tries": made.tries,
                "faults": list(made.faults),
                "real_time_factor": made.compute / made.seconds if made.seconds else None,
                "worker": worker,
                "place": result.row.place,
            }
        )
    parquet.write_table(pa.Table.from_pylist(records, schema=_rows_schema(pa)), path)


def read_rows(path: Path, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The table of results, as `write_rows` wrote it."""
    _, parquet = modules("a data set")
    found: list[dict[str, Any]] = parquet.read_table(path, columns=columns).to_pylist()
    return found


SUFFIXES = {"parquet": ".parquet", "webdataset": ".tar"}


def write_audio(path: Path, kind: str, results: Sequence[Result]) -> None:
    """Writes the recordings of the spoken rows; `kind` is parquet or webdataset."""
    spoken = [result for result in results if result.outcome.status in SPOKEN]
    if kind == "webdataset":
        _write_tar(path, [(r.key, r.outcome.flac, r.about()) for r in spoken])
    else:
        records = []
        for result in spoken:
            audio = {"bytes": result.outcome.flac, "path": f"{result.key}.flac"}
            records.append({**result.about(), "audio": audio})
        rates = {result.outcome.sample_rate for result in spoken}
        write_audio_table(path, records, max(rates, default=0))


def _audio_schema(pa: Any, sample_rate: int) -> Any:
    """The schema of recordings, with the features that `datasets` reads from its metadata."""
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    words = ("id", "text", "speaker", "voice", "language", "status", "key")
    fields = [(name, pa.string()) for name in words]
    features: dict[str, Any] = {name: {"dtype": "string", "_type": "Value"} for name in words}
    fields += [("seconds", pa.float64()), ("audio", struct)]
    features["seconds"] = {"dtype": "float64", "_type": "Value"}
    features["audio"] = {"sampling_rate": sample_rate or None, "_type": "Audio"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(fields, metadata=metadata)


def write_audio_table(path: Path, records: Sequence[dict[str, Any]], sample_rate: int) -> None:
    """Writes recordings with an `audio` column of bytes and path."""
    pa, parquet = modules("a data set")
    table = pa.Table.from_pylist(list(records), schema=_audio_schema(pa, sample_rate))
    # FLAC does not get smaller; small groups can be read one at a time.
    parquet.write_table(table, path, compression="none", row_group_size=100)


def _write_tar(path: Path, entries: Sequence[tuple[str, bytes, dict[str, Any]]]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for key, flac, about in entries:
            text = json.dumps(about, ensure_ascii=False).encode()
            for suffix, content in (("flac", flac), ("json", text)):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def read_audio(path: Path) -> list[tuple[dict[str, Any], bytes]]:
    """The recordings of a pack: what the set says of each, and its FLAC file.

    Raises:
        ValueError: if the file is damaged.
    """
    if path.suffix == ".parquet":
        _, parquet = modules("a data set")
        rows = parquet.read_table(path).to_pylist()
        return [(row, row.pop("audio")["bytes"]) for row in rows]
    found: dict[str, list[bytes]] = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                found.setdefault(member.name.partition(".")[0], []).append(
                    b"" if content is None else content.read()
                )
    except tarfile.TarError as error:
        raise ValueError(f"not a tar: {error}") from error
    return [(json.loads(text), flac) for flac, text in found.values()]


def tar_of(path: Path, entries: Sequence[tuple[dict[str, Any], bytes]]) -> None:
    """Writes recordings as a WebDataset; the inverse of `read_audio`."""
    _write_tar(path, [(str(about["key"]), flac, about) for about, flac in entries])
