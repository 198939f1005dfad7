"""Every rule of the tables, forwards and then backwards, at odd sizes."""

import numpy as np
import pytest

from importers import transforms
from importers.release.files import FILES
from importers.rules import Rule
from importers.table import Row, identity
from importers.tables import gpt, qwen, s2mel
from indextts_jax.config import bundled_config

RNG = np.random.default_rng(0)


def array(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("rule", "shapes"),
    [
        (identity, [(3, 5)]),
        (transforms.linear, [(3, 5)]),
        (transforms.pointwise, [(3, 5, 1)]),
        (transforms.conv1d, [(3, 5, 7)]),
        (transforms.conv2d, [(2, 3, 5, 7)]),
        (transforms.conv_transpose1d, [(3, 5, 7)]),
        (transforms.split_linear(3), [(6, 5)]),
        (transforms.stacked(transforms.conv1d), [(3, 5, 7), (3, 5, 7)]),
        (transforms.folded(transforms.conv1d), [(3, 5, 7)]),
        (gpt.input_projection, [(5, 15)]),
        (gpt.unbatched, [(1, 3, 5)]),
        (s2mel.split_columns(2, 3, 5), [(7, 10)]),
        (s2mel.halved_rotary(3), [(36, 12)]),
    ],
    ids=lambda value: "" if isinstance(value, Rule) else "x".join(map(str, value)),
)
def test_inverse_gives_the_arrays_of_the_file(rule, shapes):
    given = [array(*shape) for shape in shapes]
    ours = rule(*given)
    back = rule.invert(ours if isinstance(ours, tuple) else (ours,), len(given))
    for ours, theirs in zip(back, given, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weight_norm_comes_back_to_within_an_ulp():
    weight = array(3, 5, 7)
    rule = transforms.folded(transforms.conv_transpose1d)
    again = rule(*rule.invert((rule(weight),), 2))
    np.testing.assert_array_max_ulp(again, rule(weight), 1)


def test_weight_norm_of_a_part_of_zeros_comes_back_as_zeros():
    weight = array(3, 5, 7)
    weight[1] = 0
    rule = transforms.folded(transforms.conv1d)
    magnitude, direction = rule.invert((rule(weight),), 2)
    assert magnitude.shape == (3, 1, 1)
    assert (magnitude[1] == 0).all()
    assert (direction[1] == 1).all()
    np.testing.assert_array_equal(rule(magnitude, direction)[:, :, 1], 0)


def test_every_row_has_an_inverse():
    rows = [row for file in FILES.values() for row in file.rows(bundled_config("tiny"))]
    without = [
        row.source
        for row in (*rows, *qwen.TABLE)
        if isinstance(row, Row) and not isinstance(row.transform, Rule)
    ]
    assert not without
