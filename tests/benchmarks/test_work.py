"""What is timed: lengths, equal arrays for both sides, summaries."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import compare_reference
import plot
import timing
import work
from sides import ours

from indextts_jax.config import bundled_config
from indextts_jax.errors import InputError


def test_lengths_of_a_prompt_and_its_sound():
    job = work.Work(prompt=5.0, codes=500)
    assert (job.banks, job.features) == (498, 249)
    assert (job.prompt_frames, job.frames) == (430, 860)
    assert job.seconds == pytest.approx(9.985, abs=1e-3)


def test_texts_are_as_long_as_they_are_called():
    assert {characters: len(text) for characters, text in work.TEXTS.items()} == {
        characters: characters for characters in (7, 16, 28, 80, 200)
    }


def test_codes_follow_the_length_of_the_text():
    assert work.codes_for(14) == work.CODES_PER_SECOND
    assert work.codes_for(200) == 714


@pytest.mark.parametrize("stage", work.STAGES)
def test_arrays_are_the_same_for_the_same_seed(stage):
    sizes = ours.sizes(bundled_config("tiny"))
    job, other = work.Work(codes=7), work.Work(codes=7, seed=1)
    first, again, third = (work.inputs(stage, one, sizes) for one in (job, job, other))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert not np.array_equal(array, third[name])


def test_a_stage_that_does_not_exist():
    with pytest.raises(ValueError, match="no stage sing"):
        work.inputs("sing", work.Work(), ours.sizes(bundled_config("tiny")))


def test_median_and_spread():
    found = timing.summary([1.0, 9.0, 2.0, 3.0, 4.0])
    assert (found["median"], found["spread"], found["least"]) == (3.0, 1.0, 1.0)


def _stage(theirs: float, ours: float) -> dict:
    return {"theirs": {"median": theirs}, "ours": {"median": ours}}


def test_sums_count_the_semantic_encoder_twice():
    stages = {name: _stage(4.0, 1.0) for name in work.PROMPT_STAGES}
    (group,) = compare_reference.sums(stages)
    assert group == "voice"
    assert compare_reference.sums(stages)["voice"] == {"theirs": 20, "ours": 5, "ratio": 0.25}


def test_sums_of_a_segment_hold_the_conditioning():
    stages = {name: _stage(4.0, 1.0) for name in work.STAGES}
    found = compare_reference.sums(stages)
    assert (found["speech"]["theirs"], found["segment"]["theirs"]) == (16, 20)


def _whole(batch: int, times: float) -> dict:
    stages = {"codes": 1.0, "flow": 3.0}
    row = {"what": "whole", "batch": batch, "characters": 80, "prompt": 5.0, "audio": 2.0}
    return {**row, "stages": stages, "times_real_time": times}


def test_plot_of_a_run():
    rows = [{"what": "voice"}, _whole(1, 2.0), _whole(16, 9.0)]
    run = {"kind": "run", "dtype": {"gpt": "float32"}, "rows": rows}
    assert plot.bars([run]) == [("80 characters\n5 s prompt", {"codes": 0.5, "flow": 1.5})]
    assert plot.throughput([run]) == [(1, 2.0), (16, 9.0)]


def test_plot_of_a_comparison():
    assert plot.pairs([{"kind": "reference", "stages": {"flow": _stage(4.0, 3.0)}}]) == [
        ("flow", 4.0, 3.0)
    ]


def test_a_file_of_other_work_is_not_added_to(tmp_path):
    path = tmp_path / "found.json"
    path.write_text('{"work": {"codes": 3}, "stages": {}}')
    with pytest.raises(InputError, match="other work"):
        compare_reference.kept(path, work.Work())
