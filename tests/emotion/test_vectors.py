import json
import random

import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax.config import EMOTIONS
from indextts_jax.emotion.vectors import (
    merge_emotion,
    mix_weighted,
    normalize_weights,
    random_rows,
    scale_weights,
)


def test_merge_at_the_alpha_of_the_reference():
    conditioning = support.golden("conditioning")
    base, emotion = conditioning["emovec_speaker"], conditioning["emovec_emotion"]
    merged = merge_emotion(jnp.asarray(base), jnp.asarray(emotion), 0.6)

    support.assert_close(merged, conditioning["emovec_alpha_0_6"], "emotion_vector.merge")


def test_merge_takes_one_alpha_a_row_and_alphas_outside_0_and_1():
    base, emotion = jnp.zeros((3, 5)), jnp.ones((3, 5))
    merged = merge_emotion(base, emotion, jnp.array([0.25, -1.0, 2.0]))

    np.testing.assert_array_equal(merged, np.repeat([[0.25], [-1], [2]], 5, axis=1))


def test_mixing_gives_the_emotion_vector_of_the_reference():
    emotion = support.golden("emotion_vector")
    mixed = mix_weighted(
        jnp.asarray(emotion["matrix_part"]),
        jnp.asarray(emotion["weights"][None]),
        jnp.asarray(support.golden("conditioning")["emovec_speaker"]),
    )

    support.assert_close(mixed, emotion["emovec"], "emotion_vector.emovec")


def test_weights_above_one_take_the_other_vector_away():
    mixed = mix_weighted(jnp.zeros((1, 3)), jnp.array([[1.2, 0.3]]), jnp.ones((1, 3)))

    np.testing.assert_allclose(mixed, np.full((1, 3), -0.5), rtol=1e-6)


def test_scaled_weights_are_truncated_to_four_decimals():
    assert scale_weights([0.7, 0.3, 1.0, 0.0], 0.1) == (0.0699, 0.03, 0.1, 0.0)


def test_scaled_weights_are_cut_towards_zero():
    assert scale_weights([-0.33335, 0.33335], 0.5) == (-0.1666, 0.1666)


def test_alpha_is_held_within_0_and_1():
    weights = (0.123456789, 0.5)

    assert scale_weights(weights, 1.5) == scale_weights(weights, 1.0) == weights
    assert scale_weights(weights, -0.5) == (0, 0)


def test_random_rows_stay_in_their_groups_and_follow_the_generator():
    groups = (3, 17, 2, 8, 4, 5, 10, 24)
    drawn = [random_rows(groups, random.Random(seed)) for seed in range(200)]

    assert drawn[0] == random_rows(groups, random.Random(0))
    assert [max(rows) for rows in zip(*drawn, strict=True)] == [rows - 1 for rows in groups]
    assert {min(rows) for rows in zip(*drawn, strict=True)} == {0}


def test_there_are_eight_emotions():
    assert len(EMOTIONS) == len(set(EMOTIONS)) == 8


def _rows(function):
    path = support.DATA / "text" / "emotion.jsonl"
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in found if row["options"]["fn"] == function]


@pytest.mark.parametrize("row", _rows("normalize_emo_vec"), ids=str)
def test_weights_are_biased_and_capped_as_in_the_web_interface(row):
    ours = normalize_weights([float(v) for v in row["input"]], bias=row["options"]["apply_bias"])
    assert ours == tuple(row["output"])


@pytest.mark.parametrize("row", _rows("scale_emo_vector_by_alpha"), ids=str)
def test_every_recorded_scaling_by_alpha(row):
    assert scale_weights([float(v) for v in row["input"]], row["options"]["emo_alpha"]) == tuple(
        row["output"]
    )
