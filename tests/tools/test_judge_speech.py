"""The judge of recordings, with judges that are no networks."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from indextts_jax.training.evaluation.judges import panel
from indextts_jax.training.evaluation.judges.panel import Panel
from indextts_jax.training.evaluation.judges.words import WordErrors
from tools import judge_speech


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    for name, level in (("a", 0.25), ("b", 0.5)):
        soundfile.write(tmp_path / f"{name}.wav", np.full(16_000, level), 16_000)
    rows = [
        {"audio": "a.wav", "text": "one two three four", "prompt": "b.wav"},
        {"audio": "b.wav", "text": "five six"},
    ]
    path = tmp_path / "results.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    return path


def test_numbers_and_the_worst_clips(
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def errors(text: str, heard: str, language: str) -> WordErrors:
        return WordErrors(len(text.split()), substitutions=text.startswith("one"))

    monkeypatch.setattr(panel, "word_errors", errors)
    judges = Panel(
        recogniser=lambda signal: "what was heard",
        embed=lambda signal: np.asarray([1.0, 0.0]),
        quality=lambda signal: float(signal.max()),
    )
    monkeypatch.setattr(judge_speech, "open_panel", lambda args: judges)
    out = tmp_path / "judged.json"
    assert judge_speech.main(["--manifest", str(manifest), "--output", str(out)]) == 0
    text = capsys.readouterr().out
    for line in ("word error rate     16.67 %", "speaker similarity  1.000", "a.wav: 1 of 4 words"):
        assert line in text
    assert "b.wav:" not in text  # nothing is wrong with it
    found = json.loads(out.read_text())
    assert found["summary"]["clips"] == 2
    assert found["summary"]["wer"] == pytest.approx(1 / 6)
    assert found["summary"]["quality"] == pytest.approx(0.375, abs=1e-3)
    assert [clip["similarity"] for clip in found["clips"]] == [1.0, None]


@pytest.mark.parametrize(
    ("lines", "argv", "text"),
    [
        ("{}", ["--dnsmos"], "results.jsonl, line 1: expected an object with audio and text"),
        ("\n[1", ["--dnsmos"], "results.jsonl, line 2: Expecting"),
        ("", ["--dnsmos"], "results.jsonl lists no clips"),
        ('{"audio": "a", "text": "b"}', [], "give at least one judge: --asr, --speaker or"),
        ('{"audio": "a", "text": "b"}', ["--asr", "none"], "model.bin is missing"),
        ('{"audio": "a", "text": "b"}', ["--speaker", "none"], "none: there is no such file"),
    ],
)
def test_bad_input_is_one_line(
    manifest: Path, lines: str, argv: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text(lines)
    assert judge_speech.main(["--manifest", str(manifest), *argv]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert text in error[0]
