import dataclasses

import numpy as np
import pytest
import support
from flow_clips import Clip, Clips

from indextts_jax.errors import InputError
from indextts_jax.training.objectives.flow.batches import Sizes, cut
from indextts_jax.training.objectives.flow.objective import FlowObjective
from indextts_jax.training.objectives.flow.options import FlowOptions

ANNA = Clip("a1", "anna", codes=61, frames=105)
OTHER = Clip("a2", "anna", codes=200, frames=344)
BEN = Clip("b1", "ben", codes=44, frames=76)
CLIPS = Clips(ANNA, OTHER, BEN)
CONFIG = support.tiny_config()


def cuts(row, count=300, **options):
    options = FlowOptions(**options)
    sizes, rng = Sizes.of(2.0, CONFIG, options), np.random.default_rng(0)
    return [cut(row, CLIPS, sizes, options, rng) for _ in range(count)]


def batch(rows, seconds=2.0, seed=0, **options):
    objective = FlowObjective(CONFIG, FlowOptions(**options))
    return objective.collate(rows, CLIPS, seconds, np.random.default_rng(seed))


def test_prompt_of_the_clip_itself_ends_where_the_target_begins():
    found = cuts(ANNA, own_prompts=1.0, empty_prompt=0.1)

    assert {c.prompt.id for c in found} == {"a1"}
    for c in found:
        assert (c.codes, c.frames) == (slice(0, c.first_code), slice(0, c.first_frame))
        assert c.first_frame == c.first_code * 105 // 61
    counts = [c.first_code for c in found]
    assert np.mean(np.equal(counts, 0)) == pytest.approx(0.1 + 0.9 / 61, abs=0.05)
    assert max(counts) == 60
    assert np.mean(counts) == pytest.approx(0.9 * 30, abs=3)


def test_prompt_of_another_clip_is_part_of_it_and_the_target_is_whole():
    found = cuts(ANNA, own_prompts=0.0, prompt_seconds=1.0)

    assert {c.prompt.id for c in found} == {"a2"}
    most = int(1.0 * 22050 / 256)
    for c in found:
        assert (c.first_code, c.first_frame) == (0, 0)
        assert c.frames.stop - c.frames.start == most
        assert c.codes.stop - c.codes.start == pytest.approx(most / 1.72, abs=1)
        assert c.frames.start == c.codes.start * 344 // 200
    starts = [c.codes.start for c in found]
    assert min(starts) < 10
    assert max(starts) > 140
    assert max(c.codes.stop for c in found) <= 200


def test_speaker_with_one_clip_continues_it():
    assert {c.prompt.id for c in cuts(BEN, own_prompts=0.0)} == {"b1"}


def test_shares_are_those_of_the_settings():
    found = cuts(ANNA, own_prompts=0.8, latents=0.9, count=1000)

    assert np.mean([c.prompt.id == "a1" for c in found]) == pytest.approx(0.8, abs=0.05)
    assert np.mean([c.latents for c in found]) == pytest.approx(0.9, abs=0.04)


def test_arrays_hold_the_prompt_and_then_the_target():
    made = batch([ANNA, BEN, OTHER], seconds=4.0, own_prompts=0.5, latents=0.5, seed=4)

    for n, row in enumerate([ANNA, BEN, OTHER]):
        first, end = made["prompt_frames"][n], made["frames"][n]
        codes, count = made["prompt_code_counts"][n], made["code_counts"][n]
        mel = made["mel"][n, :, 0]
        number = CLIPS.rows.index(row) + 1
        own = bool(first == 0 or int(mel[0]) == number)
        target = CLIPS.read(row, "mel")[first if own else 0 :, 0]
        np.testing.assert_array_equal(mel[first:end], target)
        assert not mel[end:].any()
        np.testing.assert_array_equal(
            made["codes"][n, :count], CLIPS.read(row, "codes")[codes if own else 0 :]
        )
        assert made["style"][n, 0] == (number if own else int(mel[0]))
        latents = CLIPS.read(row, "latents")[codes if own else 0 :, 0]
        used = made["with_latents"][n]
        np.testing.assert_array_equal(made["latents"][n, :count, 0], latents * used)
        assert not made["latents"][n, count:].any()


@pytest.mark.parametrize("seed", range(5))
def test_shapes_depend_on_the_bucket_alone(seed):
    known = {name: array.shape for name, array in batch([ANNA, BEN]).items()}
    found = batch([BEN, ANNA], seed=seed, own_prompts=0.5)

    assert {name: array.shape for name, array in found.items()} == known
    assert known["mel"][1] == 174 + 258  # 2 s of frames and one; 3 s of a prompt


def test_no_capacity_for_unused_prompts():
    assert batch([ANNA], own_prompts=1.0)["mel"].shape[1] == 174


def test_batch_without_latents_reads_none():
    assert not {"latents", "with_latents"} & batch([ANNA], latents=0.0).keys()


def test_same_generator_gives_the_same_batch():
    first, second = (batch([ANNA, BEN], seed=7) for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_clip_longer_than_its_bucket_is_named():
    with pytest.raises(InputError, match=r"clip a2 has 344 mel frames and 200 codes: a bucket"):
        batch([ANNA, OTHER])


def test_clip_without_codes_is_named():
    with pytest.raises(InputError, match=r"clip a1 has 0 codes and 105 mel frames"):
        batch([dataclasses.replace(ANNA, codes=0)])
