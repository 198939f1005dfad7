"""How arrays are compared."""

import numpy as np
import pytest

from indextts_jax.validation.compare import compare, errors

REFERENCE = np.linspace(-3, 5, 24, dtype=np.float32).reshape(4, 6)


def test_equal_arrays_pass_without_error() -> None:
    row = compare("x", REFERENCE.copy(), REFERENCE)
    assert (row.rms, row.largest, row.passed) == (0, 0, True)
    assert row.cosine == pytest.approx(1)


def test_errors_are_relative_to_the_rms_of_the_reference() -> None:
    rms, largest = errors(2 * REFERENCE + 0.5, 2 * REFERENCE)
    scale = np.sqrt(np.mean((2 * REFERENCE.astype(np.float64)) ** 2))
    assert rms == pytest.approx(0.5 / scale)
    assert largest == pytest.approx(0.5 / scale)


def test_a_small_error_everywhere_fails_by_its_rms() -> None:
    row = compare("x", REFERENCE * np.float32(1 + 5e-5), REFERENCE)
    assert row.largest < 2e-4
    assert not row.passed


def test_one_large_error_fails_and_is_placed() -> None:
    ours = np.tile(REFERENCE, (2000, 1))
    reference = ours.copy()
    ours[7, 2] += 2e-3
    row = compare("x", ours, reference, rtol=1e-5)
    assert row.rms < 1e-5
    assert not row.passed
    assert "(7, 2)" in row.note


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nonfinite_values_fail(bad: float) -> None:
    ours = REFERENCE.copy()
    ours[1, 1] = bad
    assert not compare("x", ours, REFERENCE).passed


def test_integers_must_be_equal() -> None:
    reference = np.arange(10)
    assert compare("x", reference, reference).passed
    ours = reference.copy()
    ours[4] = 5
    row = compare("x", ours, reference, atol=10.0, rtol=10.0)
    assert not row.passed
    assert "first at (4,): 5, expected 4" in row.note


def test_another_shape_fails_and_is_named() -> None:
    row = compare("x", REFERENCE[:2], REFERENCE)
    assert not row.passed
    assert "shape (2, 6), expected (4, 6)" in row.note


def test_codes_that_end_elsewhere_are_compared_up_to_there() -> None:
    reference = np.arange(10)[None]
    ours = reference[:, :7].copy()
    row = compare("x", ours, reference)
    assert (row.passed, row.exact) == (False, True)
    assert row.rms == pytest.approx(0.3)
    assert "first at (0, 7): the end, expected 7 (step 8 of 10); 70.0% equal" in row.note


def test_the_margin_of_the_first_differing_code_is_given() -> None:
    reference = np.arange(10).reshape(2, 5)
    ours = reference.copy()
    ours[1, 3:] = 0
    margins = np.full((2, 5), 0.5)
    margins[1] = [0.1, 2e-3, 0.2, 3e-6, 1e-9]
    margins[0, 0] = 1e-12  # of another row
    note = compare("x", ours, reference, margins=margins).note
    assert "by 3.0e-06, and by at least 3.0e-06 up to there" in note
    assert "80.0% equal" in note


def test_the_share_of_the_tolerance_tells_which_array_is_worst() -> None:
    ours = REFERENCE * np.float32(1 + 1e-5)
    loose = compare("x", ours, REFERENCE, rtol=1e-3, atol=1e-2)
    tight = compare("x", ours, REFERENCE, rtol=2e-5, atol=1.0)
    assert loose.of_limit < tight.of_limit < 1
    assert tight.of_limit == pytest.approx(tight.rms / 2e-5)


@pytest.mark.parametrize(
    ("name", "stage"),
    [("gpt.codes", "gpt"), ("end_to_end/w2v.x", "end_to_end"), ("cfm", "cfm")],
)
def test_a_row_knows_its_stage(name: str, stage: str) -> None:
    assert compare(name, REFERENCE, REFERENCE).stage == stage
