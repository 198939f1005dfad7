"""Merged sets: what other programs, and `prepare`, read in them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from dataset_runs import MIXED, STATUSES, numbered, planned, speak_here, write_table

from indextts_jax.errors import InputError
from indextts_jax.jobs.merge import merge
from indextts_jax.jobs.output import Output
from indextts_jax.training.data.rows.manifest import Reading, Source, read_manifests

pytest.importorskip("pyarrow")
SPOKEN = [row for row, status in zip(MIXED, STATUSES, strict=True) if status == "ok"]


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same set in both formats."""
    folder, found = tmp_path_factory.mktemp("merged"), {}
    table = write_table(folder / "rows.jsonl", MIXED)
    for kind in ("parquet", "webdataset"):
        planned(folder / kind, table, audio=kind, licence="CC-BY-4.0")
        speak_here(folder / kind)
        found[kind] = folder / f"{kind}-merged"
        merge(Output(folder / kind), found[kind])
    return found


@pytest.mark.parametrize("kind", ["parquet", "webdataset"])
def test_prepare_reads_it(merged: dict[str, Path], kind: str) -> None:
    clips = read_manifests([Source(merged[kind] / "data")], Reading())
    assert [(clip.id, clip.text) for clip in clips] == [(r["id"], r["text"]) for r in SPOKEN]
    assert {clip.speaker for clip in clips} == {"anna"}
    for clip in clips:
        with clip.recording.open() as file:
            samples, rate = soundfile.read(file)
        assert (len(samples), rate) == (80 + 8 * len(clip.text), 8000)


def test_pyarrow_reads_it(merged: dict[str, Path]) -> None:
    import pyarrow.parquet as parquet

    table = parquet.read_table(merged["parquet"] / "data")
    assert table["id"].to_pylist() == [row["id"] for row in SPOKEN]
    audio = table["audio"].to_pylist()[0]
    assert audio["path"].endswith(".flac")
    assert soundfile.info(io.BytesIO(audio["bytes"])).samplerate == 8000
    rows = parquet.read_table(merged["parquet"] / "rows")
    assert rows["status"].to_pylist() == STATUSES


def test_datasets_reads_it(merged: dict[str, Path], monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    found = datasets.load_dataset(str(merged["parquet"]), split="train", cache_dir=str(tmp_path))
    assert found.features["audio"] == datasets.Audio(sampling_rate=8000)
    raw = found.cast_column("audio", datasets.Audio(decode=False))
    assert raw["id"] == [row["id"] for row in SPOKEN]
    assert soundfile.info(io.BytesIO(raw[0]["audio"]["bytes"])).frames > 0


def test_webdataset_reads_it(merged: dict[str, Path]) -> None:
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    paths = [str(path) for path in sorted((merged["webdataset"] / "data").glob("*.tar"))]
    samples = list(webdataset.WebDataset(paths, shardshuffle=False, empty_check=False))
    assert [json.loads(one["json"])["id"] for one in samples] == [row["id"] for row in SPOKEN]
    assert all(soundfile.info(io.BytesIO(one["flac"])).samplerate == 8000 for one in samples)
    assert all(json.loads(one["json"])["key"] == one["__key__"] for one in samples)


def test_the_card_says_what_the_set_is(merged: dict[str, Path]) -> None:
    text = (merged["parquet"] / "README.md").read_text()
    assert 'license: "CC-BY-4.0"' in text
    assert "| ok | 9 |" in text
    assert "| refused | 1 |" in text
    assert "9 recordings" in text


def test_rows_with_faults_are_there_on_request(merged: dict[str, Path], tmp_path: Path) -> None:
    merge(Output(merged["parquet"].parent / "parquet"), tmp_path / "all", faulty=True)
    clips = read_manifests([Source(tmp_path / "all/data")], Reading())
    assert len(clips) == len(SPOKEN) + 1


def test_a_set_that_is_not_finished_is_merged_only_on_request(tmp_path: Path) -> None:
    planned(tmp_path / "out", write_table(tmp_path / "rows.jsonl", numbered(12)))
    speak_here(tmp_path / "out", [0])
    output = Output(tmp_path / "out")
    with pytest.raises(InputError, match="packs are missing: run makes them"):
        merge(output, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    merge(output, tmp_path / "merged", partial=True)
    with pytest.raises(InputError, match="exists already"):
        merge(output, tmp_path / "merged", partial=True)
    merge(output, tmp_path / "merged", partial=True, force=True)
    (tmp_path / "merged/mine.txt").touch()
    with pytest.raises(InputError, match=r"also holds mine\.txt"):
        merge(output, tmp_path / "merged", partial=True, force=True)
