"""The text for the README."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import plot
import report

from indextts_jax.errors import InputError

MACHINE = {"processor": "Abacus", "cores": 2, "python": "3.11"}


def test_a_comparison_names_both_sides_and_their_ratio():
    side = {"median": 4.0, "spread": 0.5, "seconds": [4.0, 4.0]}
    stage = {"theirs": side, "ours": {**side, "median": 3.0}, "ratio": 0.75}
    about = {"torch": "2.13", "transformers": "5.2", "jax": "0.10", "flax": "0.12"}
    about |= {"dtype": "float32", "device": "cpu"}
    work = {"prompt": 5.0, "tokens": 30, "codes": 100, "seconds": 2.0, "beams": 3, "steps": 25}
    found = {
        "machine": MACHINE,
        "date": "2026-11-21",
        "work": {**work, "guidance": 0.7},
        "about": {"theirs": about, "ours": about},
        "stages": {"codes": {**stage, "difference": {"codes": 1.0}}},
        "sums": {"speech": {"theirs": 40.0, "ours": 30.0, "ratio": 0.75}},
    }
    text = report.reference(found)
    assert "Abacus, 2 cores" in text
    assert "| codes | 4 ± 0.5 | 3 ± 0.5 | 0.75 | codes equal |" in text
    assert "| **a segment, voice analysed before** | 40 | 30 | 0.750 |  |" in text


def spoken(dtype="float32", repeats=1, batch=1, characters=7):
    """What `run.py` writes of one text."""
    row = {"what": "whole", "characters": characters, "prompt": 5.0, "batch": batch, "audio": 2.0}
    row |= {"median": 4.0, "spread": 0.5, "first": 9.0, "real_time_factor": 2.0, "over_floor": 1.5}
    row |= {"times_real_time": 0.5 * batch, "codes_per_second": 25.0, "bytes_per_second": 3e9}
    row |= {"compile": 5.0, "stages": {"codes": 4.0, "sound": 1.0}, "floors": {"codes": 2.0}}
    return {
        "kind": "run",
        "machine": MACHINE,
        "date": "2026-11-21",
        "device": "CPU",
        "versions": {"jax": "0.10"},
        "weights": "random",
        "dtype": dict.fromkeys(("gpt", "dit", "vocoder"), dtype),
        "settings": {"steps": 25, "beams": 3, "repeats": repeats},
        "peaks": {"float32": {"flops": 1e9, "bandwidth": 1e9}},
        "rows": [{**row, "memory": {"process": 10**9}}],
    }


@pytest.mark.parametrize(
    ("repeats", "time", "told"), [(1, "4 s", "1 run after"), (2, "4 ± 0.5 s", "2 runs after")]
)
def test_one_run_has_no_spread(repeats, time, told):
    text = report.run(spoken(repeats=repeats))
    assert told in text
    start = f"| 7 characters | 5 s | 2.0 s | {time} | 9.0 s (5.0) | 2 |"
    assert f"{start} 25.0 (3.0 GB/s) | 1.5 | codes 2.0 | 1.0 GB |" in text


def test_bars_of_two_dtypes_are_called_by_them():
    (one,), two = (
        [text for text, _ in plot.bars(runs)]
        for runs in ([spoken()], [spoken(), spoken("bfloat16")])
    )
    assert "float" not in one
    assert [text.rpartition("\n")[2] for text in two] == ["float32", "bfloat16"]


def test_throughput_is_of_one_text_and_dtype():
    runs = [spoken(characters=28), spoken("bfloat16", batch=4), spoken("bfloat16")]
    assert plot.throughput([*runs, spoken(batch=8)]) == [(1, 0.5), (4, 2.0)]


def test_published_figures_are_marked():
    assert report.published().startswith("Published by others")


def test_only_what_stands_between_the_marks_is_replaced(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"one\n{report.START}\nold\n{report.END}\ntwo\n")
    report.put("new", path)
    assert path.read_text() == f"one\n{report.START}\nnew\n{report.END}\ntwo\n"


def test_a_file_without_the_marks_stays(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("one\n")
    with pytest.raises(InputError, match="has no lines"):
        report.put("new", path)
    assert path.read_text() == "one\n"
