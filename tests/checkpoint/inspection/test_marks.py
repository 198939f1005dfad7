"""What looks broken or untrained: every mark on a doctored array, none on a healthy one."""

import jax
import ml_dtypes
import numpy as np
import pytest
from models_under_test import SETS

from importers.speech import Importer
from indextts_jax.checkpoint.inspection.marks import BROKEN, ODD, UNTRAINED, marks
from indextts_jax.checkpoint.inspection.measure import measure, shape
from indextts_jax.checkpoint.reading import leaves_by_path
from indextts_jax.models.components import structure

RNG = np.random.default_rng(0)


def marked(name, array, table=False):
    array = np.asarray(array)
    found = measure(array)
    return [
        (mark.kind, mark.reason)
        for mark in marks(name, array.shape, found, shape(array, found), table=table)
    ]


def healthy(*form):
    """A trained kernel, or something like it: scaled by its inputs, with heavier tails."""
    random = np.random.default_rng(1)
    inputs = np.prod(form[:-1])
    return (random.standard_t(6, size=form) / np.sqrt(inputs)).astype(np.float32)


def doctored(array, index, value):
    array = array.copy()
    array[index] = value
    return array


CASES = {
    "NaN": ("kernel", doctored(healthy(32, 64), 5, np.nan), BROKEN, "64 of 2,048 numbers are NaN"),
    "infinite": (
        "bias",
        doctored(healthy(64), slice(2), [np.inf, -np.inf]),
        BROKEN,
        "2 of 64 numbers are infinite",
    ),
    "zero kernel": ("kernel", np.zeros((8, 8)), BROKEN, "all zero"),
    "zero embedding": ("embedding", np.zeros((8, 8)), BROKEN, "all zero"),
    "zero scale": ("scale", np.zeros(8), BROKEN, "all zero"),
    "constant kernel": ("kernel", np.full((8, 8), 0.25), BROKEN, "every number is 0.25"),
    "constant scale": ("scale", np.full(8, 2.0), ODD, "every number is 2"),
    "fresh scale": ("scale", np.ones(8), UNTRAINED, "exactly 1 throughout, as initialised"),
    "fresh bias": ("bias", np.zeros(8), UNTRAINED, "exactly 0 throughout, as initialised"),
    "fresh variance": ("var", np.ones(8), UNTRAINED, "exactly 1 throughout, as initialised"),
    "fresh mean": ("mean", np.zeros(8), UNTRAINED, "exactly 0 throughout, as initialised"),
    "fresh snake": ("alpha", np.zeros(8), UNTRAINED, "exactly 0 throughout, as initialised"),
    "fresh gamma": ("gamma", np.full(8, 0.125), UNTRAINED, "0.125 throughout, as initialised"),
    "negative variance": ("var", [0.5, -0.25, 1.0], BROKEN, "a negative variance: -0.25"),
    "no variance": ("var", [0.5, 0.0, 1.0], BROKEN, "a variance of 0 in 1 of 3 channels"),
    "zero layer": (
        "kernel",
        doctored(healthy(7, 16, 16), [2, 5], 0),
        BROKEN,
        "0 throughout in 2 of 7 slices along the first axis: 2, 5",
    ),
    "dead row": (
        "kernel",
        doctored(healthy(32, 64), 9, 0),
        ODD,
        "0 throughout in 1 of 32 slices along the first axis: 9",
    ),
    "fresh layer": (
        "scale",
        doctored(1 + healthy(7, 16), 3, 1),
        UNTRAINED,
        "1 throughout in 1 of 7 slices along the first axis: 3",
    ),
    "equal layers": (
        "kernel",
        doctored(healthy(7, 16, 16), 4, healthy(7, 16, 16)[1]),
        ODD,
        "1 of 7 slices along the first axis equal an earlier one: 4 as 1",
    ),
    "denormal": (
        "kernel",
        doctored(healthy(32, 64), slice(4), 1e-38 * healthy(4, 64)),
        BROKEN,
        "of the numbers are denormal",
    ),
    "huge": ("bias", doctored(healthy(64), 3, 3e38), BROKEN, "magnitudes up to 3.0e+38"),
    "huge variance": ("var", doctored(1 + 0.1 * RNG.random(64), 3, 1e9), BROKEN, "magnitudes up"),
    "outlier": ("embedding", doctored(1e-3 * healthy(64, 64), (3, 5), 5.0), ODD, "an outlier: 5."),
    "sparse": ("kernel", healthy(32, 64) * (RNG.random((32, 64)) < 0.3), ODD, "% zeros"),
    "whole": ("kernel", RNG.integers(-3, 4, size=(32, 64)) * 1.0, ODD, "only whole numbers"),
    "far too large": (
        "kernel",
        300 * healthy(32, 64),
        ODD,
        "times 1 / sqrt(inputs): far from a trained",
    ),
    "far too small": ("kernel", 1e-5 * healthy(32, 64), ODD, "far from a trained one"),
    "fresh linear": (
        "kernel",
        RNG.uniform(-(64**-0.5), 64**-0.5, size=(64, 128)),
        UNTRAINED,
        "uniform within 1 / sqrt(inputs) = 0.125, as PyTorch initialises",
    ),
    "fresh layers": (
        "kernel",
        RNG.uniform(-(64**-0.5), 64**-0.5, size=(6, 64, 128)),
        UNTRAINED,
        "as PyTorch initialises",
    ),
    "fresh embedding": (
        "embedding",
        0.02 * RNG.standard_normal((1000, 64)),
        UNTRAINED,
        "normal with deviation 0.02, as transformers initialises",
    ),
    "nothing": ("kernel", np.zeros((0, 8)), BROKEN, "is empty"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_doctored_array_gets_its_mark_and_no_other(case):
    name, array, kind, reason = CASES[case]
    found = marked(name, np.asarray(array, np.float32))
    assert [kind] == [k for k, _ in found], found
    assert reason in found[0][1]


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("kernel", healthy(32, 64)),
        ("kernel", healthy(24, 32, 64)),
        ("kernel", healthy(7, 1, 128)),
        ("kernel", 20 * healthy(32, 64)),
        ("kernel", 0.01 * healthy(32, 64)),
        ("kernel", healthy(1, 1)),
        ("embedding", healthy(100, 64)),
        ("scale", 1 + 0.1 * healthy(64)),
        ("scale", np.ones(1)),
        ("bias", healthy(3, 64)),
        ("mean", healthy(64)),
        ("var", 1e5 * RNG.random(64)),
        ("kernel", RNG.uniform(-0.2, 0.2, size=(64, 128))),
        ("kernel", 0.03 * RNG.standard_normal((256, 256))),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_healthy_array_gets_none(name, array, dtype):
    if dtype == np.float16 and np.abs(array).max() > 6e4:
        pytest.skip("float16 ends before")
    assert marked(name, array.astype(dtype)) == []


def test_a_table_may_be_as_it_likes_but_for_what_is_never_right():
    table = np.concatenate([np.zeros((2, 8)), np.tile(np.arange(8.0), (3, 1))])
    assert marked("positions", table, table=True) == []
    assert marked("positions", table)
    assert marked("positions", np.zeros((2, 8)), table=True) == [(BROKEN, "all zero")]
    assert marked("var", np.asarray([-1.0, 1.0]), table=True)[0][0] == BROKEN


def test_several_marks_stand_together():
    array = doctored(doctored(healthy(7, 16, 16), 2, 0), (3, 1, 1), np.nan)
    assert [kind for kind, _ in marked("kernel", array)] == [BROKEN, BROKEN]


@pytest.mark.parametrize("name", ["tiny", pytest.param("second", marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    "component",
    [
        "conditioning",
        "gpt",
        "dit",
        *(
            pytest.param(name, marks=pytest.mark.nightly)  # tracing them takes seconds
            for name in ("semantic_encoder", "style_encoder", "vocoder")
        ),
    ],
)
def test_no_array_of_the_golden_sets_is_marked(name, component):
    importer = Importer.open(SETS[name] / "checkpoints")
    expected = structure(component, importer.config, "bfloat16").expected
    tables = jax.tree.map(lambda leaf: leaf.dtype == np.float32, expected)
    arrays = leaves_by_path(importer.read(component), component)
    odd = {
        path: marked(path.rsplit(".", 1)[-1], arrays[path], table=table)
        for path, table in leaves_by_path(tables, component).items()
    }
    assert len(odd) > 20
    assert {path: found for path, found in odd.items() if found} == {}
