"""Manifests of every kind say the same."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from speech_sets import speech

from indextts_jax.errors import InputError
from indextts_jax.training.data.rows.manifest import Clip, Reading, Source, read_manifests

TEXTS = ['Hello, "world".', "Es ist spät."]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wavs").mkdir()
    for number in range(2):
        soundfile.write(tmp_path / f"wavs/c{number}.wav", speech(0.1, number), 22050)
    return tmp_path


def rows() -> list[dict[str, str]]:
    return [
        {"audio": f"wavs/c{number}.wav", "text": text, "speaker": "anna"}
        for number, text in enumerate(TEXTS)
    ]


def jsonl(folder: Path) -> Path:
    path = folder / "m.jsonl"
    path.write_text("\ufeff" + "\n\n".join(json.dumps(row) for row in rows()), encoding="utf-8")
    return path


def separated(folder: Path, name: str, delimiter: str) -> Path:
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        plain = delimiter == "\t"  # there, quotes are letters like others
        quoting, mark = (csv.QUOTE_NONE, None) if plain else (csv.QUOTE_MINIMAL, '"')
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting, quotechar=mark)
        writer.writerow(["speaker", "text", "audio"])
        writer.writerows([row["speaker"], row["text"], row["audio"]] for row in rows())
    return folder / name


def parquet(folder: Path) -> Path:
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    write_table(pa.Table.from_pylist(rows()), folder / "m.parquet")
    return folder / "m.parquet"


def hugging_face(folder: Path) -> Path:
    """As `datasets` writes it: recordings inside, in several groups of rows and files."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    for number, row in enumerate(rows()):
        sound = {"bytes": (folder / row["audio"]).read_bytes(), "path": f"c{number}.wav"}
        table = pa.Table.from_pylist([{**row, "audio": sound}])
        (folder / "hf/data").mkdir(parents=True, exist_ok=True)
        write_table(table, folder / f"hf/data/train-{number}.parquet", row_group_size=1)
    return folder / "hf"


def plain(folder: Path) -> Path:
    for number, suffix in enumerate((".txt", ".lab")):
        path = folder / f"wavs/c{number}{suffix}"
        path.write_text(TEXTS[number] + "\n", encoding="utf-8")
    return folder / "wavs"


def ljspeech(folder: Path) -> Path:
    text = f"c0|Hello?|{TEXTS[0]}\nc1|{TEXTS[1]}|\n"
    (folder / "metadata.csv").write_text(text, encoding="utf-8")
    return folder


KINDS: dict[str, Callable[[Path], Path]] = {
    "jsonl": jsonl,
    "csv": lambda folder: separated(folder, "m.csv", ","),
    "tsv": lambda folder: separated(folder, "m.tsv", "\t"),
    "parquet": parquet,
    "hugging face": hugging_face,
    "directory": plain,
    "ljspeech": ljspeech,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_clips(folder: Path, kind: str) -> None:
    clips = read_manifests([Source(KINDS[kind](folder))], Reading(one_speaker=True))
    assert [clip.text for clip in clips] == TEXTS
    assert len({clip.id for clip in clips}) == 2
    for number, clip in enumerate(clips):
        with clip.recording.open() as file:
            assert file.read() == (folder / f"wavs/c{number}.wav").read_bytes()
        assert len(clip.recording.sha256()) == 64


def one(folder: Path, reading: Reading | None = None, **columns: object) -> Clip:
    path = folder / "one.jsonl"
    path.write_text(json.dumps({"audio": "wavs/c0.wav", "text": "Hi.", "speaker": "a", **columns}))
    (clip,) = read_manifests([Source(path)], reading or Reading())
    return clip


def test_optional_columns(folder: Path) -> None:
    clip = one(
        folder, id="x", language="de", start=1.5, end=3, split="dev", emotion_audio="wavs/c1.wav"
    )
    assert (clip.id, clip.language, clip.start, clip.end, clip.split) == (
        "x",
        "de",
        1.5,
        3.0,
        "validation",
    )
    assert clip.emotion is not None
    assert clip.emotion.path == folder / "wavs/c1.wav"


def test_columns_may_have_other_names(folder: Path) -> None:
    reading = Reading(columns={"text": "sentence", "speaker": "client_id"})
    clip = one(folder, reading, sentence="Bye.", client_id=7)
    assert (clip.text, clip.speaker) == ("Bye.", "7")


def test_the_speaker_may_be_a_directory(folder: Path) -> None:
    clip = one(folder, Reading(speaker_from_path=1), speaker="")
    assert clip.speaker == "wavs"
    assert one(folder, Reading(speaker_from_path=2), speaker=None).speaker == folder.name


def test_clips_of_one_recording_differ_by_their_start(folder: Path) -> None:
    path = folder / "m.csv"
    path.write_text("audio,text,speaker,start,end\nl.wav,A.,s,0,2\nl.wav,B.,s,2,4\n")
    clips = read_manifests([Source(path)], Reading())
    assert [clip.id for clip in clips] == ["l", "l@2"]


def test_manifests_have_weights(folder: Path) -> None:
    assert Source.parse("a.jsonl@0.15") == Source(Path("a.jsonl"), 0.15)
    assert Source.parse("a.jsonl") == Source(Path("a.jsonl"), 1.0)
    path = jsonl(folder)
    clips = read_manifests([Source(path, 0.25)], Reading())
    assert {clip.weight for clip in clips} == {0.25}
    with pytest.raises(InputError, match="got 2"):
        Source.parse("a.jsonl@2")


def test_rows_without_a_text_are_left_to_the_checks(folder: Path) -> None:
    assert one(folder, text=None).text == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"audio": "a.wav", "speaker": "s"}', "column text is missing; it has audio, speaker"),
        ('{"audio": "a.wav", "text": "x"}', "m.jsonl line 1: no speaker: .* one_speaker"),
        ('{"audio": 3, "text": "x", "speaker": "s"}', "line 1: audio: expected a path, got 3"),
        ("[1]", "line 1: expected an object"),
        ("{", "line 1 is not JSON"),
        ("", "no rows"),
        ('{"audio": "a", "text": "", "speaker": "s", "split": "test"}', "split: expected train or"),
        ('{"audio": "a", "text": "", "speaker": "s", "end": "late"}', "end: expected seconds"),
        ('{"audio": "a.wav", "text": "", "speaker": "s"}\n' * 2, "ids that occur more than once"),
    ],
)
def test_problems_are_reported_with_line_numbers(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        read_manifests([Source(path)], Reading())


def test_ragged_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("audio,text\na.wav,one, two\n")
    with pytest.raises(InputError, match="line 2: expected 2 columns, got 3"):
        read_manifests([Source(path)], Reading(one_speaker=True))


@pytest.mark.parametrize("name", ["missing.jsonl", "notes.md", "empty"])
def test_non_manifest_is_rejected(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"manifest not found|not a manifest|nor a manifest"):
        read_manifests([Source(tmp_path / name)], Reading())


def test_a_parquet_row_without_a_recording_is_named(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"audio": {"bytes": None, "path": "gone.wav"}, "text": "Hi."}]
    schema = pa.schema([("audio", struct), ("text", pa.string())])
    write_table(pa.Table.from_pylist(rows, schema), tmp_path / "m.parquet")
    (clip,) = read_manifests([Source(tmp_path / "m.parquet")], Reading(one_speaker=True))
    with pytest.raises(InputError, match="row 1: audio has no recording"):
        clip.recording.open()


def test_embedded_clips_are_read_from_their_own_rows(tmp_path: Path) -> None:
    """Groups of several rows: the number in the file, not in the group, counts."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    rows = [{"audio": {"bytes": bytes([n]), "path": None}, "text": "x"} for n in range(7)]
    write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet", row_group_size=3)
    clips = read_manifests([Source(tmp_path / "m.parquet")], Reading(one_speaker=True))
    found = [clip.recording.open().read() for clip in clips]
    assert found == [bytes([n]) for n in range(7)]
