"""Statistics of arrays, against NumPy on the whole."""

import math

import ml_dtypes
import numpy as np
import pytest

from indextts_jax.checkpoint.inspection import measure as module
from indextts_jax.checkpoint.inspection.measure import measure, shape, together


def numbers(size=1013, dtype=np.float32):
    return np.random.default_rng(0).normal(3.0, 0.5, size=size).astype(dtype)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(module, "PIECE", 97)  # so that arrays have several


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_moments_are_those_of_the_whole_array(dtype):
    array = numbers(dtype=dtype)
    found, wide = measure(array), array.astype(np.float64)
    assert found.mean == pytest.approx(wide.mean(), rel=1e-12)
    assert found.deviation == pytest.approx(wide.std(), rel=1e-12)
    assert (found.low, found.high, found.size) == (wide.min(), wide.max(), 1013)


def test_a_far_mean_costs_no_digits():
    array = numbers().astype(np.float64) * 1e-6 + 1e3
    assert measure(array).deviation == pytest.approx(array.std(), rel=1e-6)


def test_nonfinite_values_are_counted_and_excluded():
    array = numbers()
    array[[0, 200, 500]], array[[7, 900]] = np.nan, [np.inf, -np.inf]
    found = measure(array)
    assert (found.nan, found.inf, found.finite) == (3, 2, 1008)
    assert found.mean == pytest.approx(array[np.isfinite(array)].mean(dtype=np.float64))


def test_without_finite_numbers_there_are_no_moments():
    found = measure(np.full(5, np.nan, np.float32))
    assert found.nan == 5
    assert all(math.isnan(x) for x in (found.mean, found.deviation, found.low, found.high))


@pytest.mark.parametrize(
    ("dtype", "denormal"), [(np.float32, 2), (ml_dtypes.bfloat16, 2), (np.float16, 0)]
)
def test_zeros_and_denormal_numbers_are_counted(dtype, denormal):
    array = np.asarray([0, -0.0, 1e-39, -1e-39, 1.0], dtype)
    found = measure(array)
    zeros = 2 if denormal else 4  # float16 has no such numbers
    assert (found.zeros, found.denormal) == (zeros, denormal)


def test_several_arrays_together_are_as_one():
    arrays = [numbers(), numbers(7) * 100, np.full(3, np.nan, np.float32), np.zeros(11)]
    found, whole = together(map(measure, arrays)), measure(np.concatenate(arrays))
    assert found.mean == pytest.approx(whole.mean)
    assert found.deviation == pytest.approx(whole.deviation)
    assert (found.size, found.nan, found.zeros) == (whole.size, whole.nan, whole.zeros)
    assert (found.low, found.high) == (whole.low, whole.high)


def shaped(array):
    return shape(array, measure(array))


@pytest.mark.parametrize(("draw", "kurtosis"), [("standard_normal", 0.0), ("random", -1.2)])
def test_kurtosis_tells_distributions_apart(draw, kurtosis):
    array = getattr(np.random.default_rng(0), draw)(20_000)
    assert shaped(array).kurtosis == pytest.approx(kurtosis, abs=0.1)


def test_the_median_of_a_sample_is_near_that_of_all(monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 5000)
    array = numbers(100_000)
    assert shaped(array).median == pytest.approx(float(np.median(array)), rel=0.02)


def test_integers_are_reported():
    assert shaped(np.arange(300.0)).whole
    assert not shaped(np.arange(300.0) + np.eye(1, 300, 250)[0] / 2).whole


def test_constant_and_equal_slices_are_reported():
    array = numbers(7 * 5 * 3).reshape(7, 5, 3)
    array[2], array[4], array[5], array[6] = 0, 1, array[1], array[1]
    found = shaped(array)
    assert found.constant_slices == ((2, 0.0), (4, 1.0))
    assert found.equal_slices == ((5, 1), (6, 1))


@pytest.mark.parametrize("form", [(5,), (5, 1), (1, 5)])
def test_slices_of_one_number_and_single_slices_tell_nothing(form):
    found = shaped(np.ones(form))
    assert (found.constant_slices, found.equal_slices) == ((), ())
