"""Judges with their networks, on recordings of a reader: skipped where either is absent."""

import os

import numpy as np
import pytest
import support

from importers.formats.tensors import read_arrays
from indextts_jax.training.evaluation.judges import panel
from indextts_jax.training.evaluation.judges.panel import Panel
from indextts_jax.training.evaluation.judges.quality import Quality
from indextts_jax.training.evaluation.judges.recogniser import Recogniser
from indextts_jax.training.evaluation.judges.speaker import Speakers

pytestmark = pytest.mark.nightly


def named(variable: str, what: str) -> str:
    """A path out of the environment."""
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} does not name {what}")
    return path


def test_a_reader_is_understood_and_known_again() -> None:
    for name in ("faster_whisper", "jiwer", "whisper_normalizer", "onnxruntime", "speechmos"):
        pytest.importorskip(name, reason="needs the extra judge")
    asr = named("INDEXTTS_JUDGE_ASR", "a folder of a Whisper model")
    speaker = named("INDEXTTS_JUDGE_SPEAKER", "a checkpoint of ERes2Net")
    folder = support.real("speech/transcripts.tsv").parent
    lines = (folder / "transcripts.tsv").read_text("utf-8").splitlines()
    texts = dict(line.split("\t")[:2] for line in lines if line.startswith("librivox"))
    judges = Panel(Recogniser(asr), Speakers(read_arrays(speaker)), Quality())
    found = [
        judges.judge(folder / name, text, folder / "librivox_1.wav") for name, text in texts.items()
    ]
    values = panel.summary(found)
    assert len(found) == 5
    assert values["wer"] < 0.1
    assert min(one.similarity for one in found if one.similarity is not None) > 0.4
    assert 2 < values["quality"] < 5
    again = judges.judge(folder / "librivox_2.wav", texts["librivox_2.wav"])
    assert again.heard == found[1].heard
    other = folder / "asterisk_en_basic-pbx-ivr-main.wav"
    unlike = judges.judge(folder / "librivox_2.wav", "", other).similarity
    assert unlike is not None
    assert unlike < np.min([one.similarity for one in found]) - 0.1
