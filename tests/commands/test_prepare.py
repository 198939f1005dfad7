"""The prepare command."""

import json
import shutil
from pathlib import Path

import pytest
import speech_sets

from indextts_jax import prepare
from indextts_jax.cli import runner
from indextts_jax.training.data.prepared import Prepared


def run(*argv: object) -> int:
    return runner.execute(
        prepare.main,
        prepare.define,
        name="prepare",
        summary="",
        common=prepare.COMMON,
        groups=prepare.GROUPS,
        argv=[str(argument) for argument in argv],
    )


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of six clips."""
    folder = tmp_path_factory.mktemp("recordings")
    speech_sets.write_set(folder, 6, seconds=1.2)
    return folder


@pytest.fixture
def usual(tmp_path: Path, recordings: Path) -> list[str]:
    """Arguments for a copy of the set, without networks."""
    for path in recordings.iterdir():
        shutil.copy(path, tmp_path)
    return [
        f"--manifest={tmp_path / 'clips.jsonl'}",
        f"--dst={tmp_path / 'out'}",
        "--config=tiny",
        "--for=tokens",
        "--min_clips=2",
        "--min_minutes=0",
        "--workers=1",
    ]


MADE = ("--make_tokenizer=char", "--pieces=60")


def test_a_set_is_prepared_and_then_up_to_date(
    usual: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*usual, *MADE) == 0
    printed = capsys.readouterr().out
    assert "6 rows: 6 kept (0.1 minutes, 2 speakers, 2 for validation), 0 rejected" in printed
    assert "made: 6 text, 6 mel, 6 samples, 6 encoder_input, 6 encoder_mask" in printed
    assert len(Prepared.open(tmp_path / "out").rows) == 6
    assert run(*usual) == 0  # with the tokenizer that is there
    assert "made: nothing" in capsys.readouterr().out


def test_a_dry_run_writes_nothing(
    usual: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*usual, *MADE, "--dry_run") == 0
    printed = capsys.readouterr().out
    assert "features (MB): text 0.0, mel 0.1, samples 0.3" in printed
    assert "to prepare: features of 6 clips\ntime: about " in printed
    assert "(from 6 clips)\ndisk: 0." in printed
    assert "nothing was written" in printed
    assert not (tmp_path / "out").exists()


def test_many_rejected_rows_stop_before_anything_is_made(
    usual: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        (tmp_path / f"clip0{number}.wav").write_text("no audio")
    assert run(*usual, *MADE) == runner.FAULTY
    printed = capsys.readouterr()
    assert (
        "audio: unreadable         2       0  clips.jsonl line 3: it is not audio that can be read"
        in printed.out
    )
    assert "33.3% of the rows are rejected, more than --max_rejected 0.2" in printed.err
    assert not (tmp_path / "out/index.jsonl").exists()
    assert json.loads((tmp_path / "out/report.json").read_text())["rejected"] == 2
    assert run(*usual, *MADE, "--max_rejected=0.4") == 0
    assert len(Prepared.open(tmp_path / "out").rows) == 4


def test_speech_without_texts_does_for_a_vocoder(
    usual: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "clips.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    manifest.write_text("\n".join(json.dumps({"audio": row["audio"]}) for row in rows))
    assert run(*usual, "--for=vocoder", "--one_speaker") == 0
    assert "made: 6 mel, 6 samples" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--dst="], "--dst is empty"),
        (["--config=huge"], "--config huge: no such configuration"),
        (["--config="], "--config is empty"),
        (["--for=voice"], "--for: unknown recipe 'voice'; expected some of gpt, conditioning"),
        (["--for=gpt"], "needs semantic_encoder, semantic_codec, conditioning: give --checkpoint"),
        ([], "give --tokenizer FILE, or --make_tokenizer char|unigram"),
        (["--make_tokenizer=char", "--pieces=9"], "--pieces must be at least"),
        (["--make_tokenizer=bpe"], "--make_tokenizer: expected char or unigram"),
        (["--columns=text"], "expected ours=theirs"),
        (["--columns=words=text"], "--columns: words unknown"),
        ([*MADE, "--min_clips=7"], "expected at least --min_clips 7 and --min_minutes 0"),
        ([*MADE, "--min_seconds=30"], "--min_seconds < --max_seconds"),
        (["--manifest=x.jsonl@3"], "a manifest's weight must be in (0, 1], got 3"),
        (["--columns=speaker=who", *MADE], "column who is missing; it has audio, text, speaker"),
    ],
)
def test_bad_input_gives_one_line(
    usual: list[str],
    change: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(*usual, *change) == runner.BAD_INPUT
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert not (tmp_path / "out/index.jsonl").exists()


def test_prototypes_are_made_of_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("audio,emotion\na.wav,happy\nb.wav,bored\n")
    assert run(f"--prototypes={labels}") == runner.BAD_INPUT
    assert "--prototypes needs --checkpoint DIR and --dst DIR" in capsys.readouterr().err
    given = (f"--prototypes={labels}", "--checkpoint=none", f"--dst={tmp_path / 'new'}")
    assert run(*given) == runner.BAD_INPUT
    told = capsys.readouterr().err
    assert "emotion 'bored' is not one of the eight" in told
    assert "no clip of angry, sad, afraid" in told


def test_without_a_speaker_the_flag_is_named(
    usual: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips.jsonl").write_text('{"audio": "clip00.wav", "text": "Hello."}')
    assert run(*usual, *MADE) == runner.BAD_INPUT
    assert "clips.jsonl line 1: no speaker" in (line := capsys.readouterr().err)
    assert "--one_speaker" in line
