"""What is timed: lengths, equal arrays for both sides, summaries."""

import numpy as np
import pytest

from benchmarks import compare, plot, record, workload
from benchmarks.workers import ours
from indextts_jax.config import bundled_config
from indextts_jax.errors import InputError


def test_lengths_of_a_prompt_and_its_sound():
    job = workload.Work(prompt=5.0, codes=500)
    assert (job.banks, job.features) == (498, 249)
    assert (job.prompt_frames, job.frames) == (430, 860)
    assert job.seconds == pytest.approx(9.985, abs=1e-3)


def test_texts_have_their_named_length():
    assert {characters: len(text) for characters, text in workload.TEXTS.items()} == {
        characters: characters for characters in (7, 16, 28, 80, 200)
    }


def test_codes_follow_text_length():
    assert workload.codes_for(14) == workload.CODES_PER_SECOND
    assert workload.codes_for(200) == 714


@pytest.mark.parametrize("stage", workload.STAGES)
def test_arrays_depend_on_seed(stage):
    sizes = ours.sizes(bundled_config("tiny"))
    job, other = workload.Work(codes=7), workload.Work(codes=7, seed=1)
    first, again, third = (workload.inputs(stage, one, sizes) for one in (job, job, other))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert not np.array_equal(array, third[name])


def test_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="no stage sing"):
        workload.inputs("sing", workload.Work(), ours.sizes(bundled_config("tiny")))


def test_median_and_spread():
    found = record.summary([1.0, 9.0, 2.0, 3.0, 4.0])
    assert (found["median"], found["spread"], found["least"]) == (3.0, 1.0, 1.0)


def _stage(theirs: float, ours: float) -> dict:
    return {"theirs": {"median": theirs}, "ours": {"median": ours}}


def test_voice_sum_counts_semantic_encoder_twice():
    stages = {name: _stage(4.0, 1.0) for name in workload.PROMPT_STAGES}
    (group,) = compare.sums(stages)
    assert group == "voice"
    assert compare.sums(stages)["voice"] == {"theirs": 20, "ours": 5, "ratio": 0.25}


def test_segment_sum_includes_conditioning():
    stages = {name: _stage(4.0, 1.0) for name in workload.STAGES}
    found = compare.sums(stages)
    assert (found["speech"]["theirs"], found["segment"]["theirs"]) == (16, 20)


def _whole(batch: int, times: float) -> dict:
    stages = {"codes": 1.0, "flow": 3.0}
    row = {"what": "whole", "batch": batch, "characters": 80, "prompt": 5.0, "audio": 2.0}
    return {**row, "stages": stages, "times_real_time": times}


def test_bars_and_throughput_of_run():
    rows = [{"what": "voice"}, _whole(1, 2.0), _whole(16, 9.0)]
    run = {"kind": "run", "dtype": {"gpt": "float32"}, "rows": rows}
    assert plot.bars([run]) == [("80 characters\n5 s prompt", {"codes": 0.5, "flow": 1.5})]
    assert plot.throughput([run]) == [(1, 2.0), (16, 9.0)]


def test_pairs_of_comparison():
    assert plot.pairs([{"kind": "reference", "stages": {"flow": _stage(4.0, 3.0)}}]) == [
        ("flow", 4.0, 3.0)
    ]


def test_file_of_other_work_is_refused(tmp_path):
    path = tmp_path / "found.json"
    path.write_text('{"work": {"codes": 3}, "stages": {}}')
    with pytest.raises(InputError, match="other work"):
        compare.measured_stages(path, workload.Work())
