"""The engine of the tables: everything is accounted for, and all that is wrong is told at once."""

import ml_dtypes
import numpy as np
import pytest

from importers.table import (
    AnyOf,
    Drop,
    ImportMismatch,
    Row,
    apply,
    flatten,
    matching,
    nested_like,
    plan,
    read,
)
from importers.transforms import linear, split_linear


class Given:
    """A tensor in memory that counts how often it is read."""

    def __init__(self, array):
        self.array = np.asarray(array)
        self.shape, self.dtype = self.array.shape, self.array.dtype
        self.reads = 0

    def read(self):
        self.reads += 1
        return self.array


class Shape:
    """What a model expects of one parameter."""

    def __init__(self, *shape, dtype=np.float32):
        self.shape, self.dtype = shape, np.dtype(dtype)


def array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def given(**arrays):
    return {name.replace("__", "."): Given(a) for name, a in arrays.items()}


def problems(table, tensors, expected, **options):
    with pytest.raises(ImportMismatch) as caught:
        apply(table, tensors, expected, file="a.pth", **options)
    return list(caught.value.problems)


def test_rows_fill_a_tree():
    tensors = given(w=array(3, 5), b=array(3))
    table = [Row("out.kernel", "w", linear), Row("out.bias", "b")]
    tree = apply(table, tensors, {"out": {"kernel": Shape(5, 3), "bias": Shape(3)}}, file="a.pth")
    np.testing.assert_array_equal(tree["out"]["kernel"], tensors["w"].array.T)
    np.testing.assert_array_equal(tree["out"]["bias"], tensors["b"].array)


def test_an_index_on_both_sides_is_one_array_each():
    tensors = given(h__0__w=array(2), h__1__w=array(3))
    expected = {"blocks": {0: {"w": Shape(2)}, 1: {"w": Shape(3)}}}
    tree = apply([Row("blocks.{i}.w", "h.{i}.w")], tensors, expected, file="a.pth")
    assert list(tree["blocks"]) == [0, 1]
    np.testing.assert_array_equal(tree["blocks"][1]["w"], tensors["h.1.w"].array)


def test_an_index_plus_a_number_is_shifted():
    tensors = given(h__1__w=array(2), h__2__w=array(3))
    expected = {"blocks": {0: Shape(2), 1: Shape(3)}}
    tree = apply([Row("blocks.{i}", "h.{i+1}.w")], tensors, expected, file="a.pth")
    np.testing.assert_array_equal(tree["blocks"][0], tensors["h.1.w"].array)


def test_an_index_on_the_source_side_alone_is_stacked():
    tensors = given(**{f"h__{i}__w": array(2, 5, seed=i) for i in range(3)})
    table = [Row("blocks.w", "h.{layer}.w", linear)]
    tree = apply(table, tensors, {"blocks": {"w": Shape(3, 5, 2)}}, file="a.pth")
    for i in range(3):
        np.testing.assert_array_equal(tree["blocks"]["w"][i], tensors[f"h.{i}.w"].array.T)


def test_two_indices_are_stacked_in_the_order_of_the_source():
    tensors = given(
        **{f"b__{i}__l__{j}": array(2, seed=7 * i + j) for i in range(2) for j in range(3)}
    )
    tree = apply([Row("w", "b.{i}.l.{j}")], tensors, {"w": Shape(2, 3, 2)}, file="a.pth")
    np.testing.assert_array_equal(tree["w"][1, 2], tensors["b.1.l.2"].array)


def test_several_sources_become_one_array():
    tensors = given(a=array(2), b=array(2, seed=1))
    tree = apply([Row("c", ("a", "b"), lambda a, b: a - b)], tensors, {"c": Shape(2)}, file="a.pth")
    np.testing.assert_array_equal(tree["c"], tensors["a"].array - tensors["b"].array)


def test_one_source_becomes_several_arrays():
    tensors = given(kv=array(4, 3))
    expected = {"k": Shape(3, 2), "v": Shape(3, 2)}
    tree = apply([Row(("k", "v"), "kv", split_linear(2))], tensors, expected, file="a.pth")
    np.testing.assert_array_equal(tree["k"], tensors["kv"].array[:2].T)
    np.testing.assert_array_equal(tree["v"], tensors["kv"].array[2:].T)


def test_stacked_rows_may_have_several_targets():
    tensors = given(h__0=array(4, 3), h__1=array(4, 3, seed=1))
    expected = {"k": Shape(2, 3, 2), "v": Shape(2, 3, 2)}
    tree = apply([Row(("k", "v"), "h.{i}", split_linear(2))], tensors, expected, file="a.pth")
    np.testing.assert_array_equal(tree["v"][1], tensors["h.1"].array[2:].T)


@pytest.mark.parametrize("held", [("g", "v"), ("o0", "o1"), ("w",)])
def test_one_spelling_of_several_is_taken(held):
    spellings = AnyOf((("g", "v"), ("o0", "o1"), ("w",)))
    tensors = {name: Given(array(2, seed=i)) for i, name in enumerate(held)}
    tree = apply([Row("w", spellings, lambda *a: sum(a))], tensors, {"w": Shape(2)}, file="a.pth")
    np.testing.assert_array_equal(tree["w"], sum(tensor.array for tensor in tensors.values()))


def test_a_second_spelling_is_unexpected():
    spellings = AnyOf((("g", "v"), ("w",)))
    tensors = given(g=array(2), v=array(2), w=array(2))
    table = [Row("w", spellings, lambda *a: sum(a))]
    assert problems(table, tensors, {"w": Shape(2)}) == ["unexpected: w (2,)"]


def test_half_a_spelling_misses_the_rest_of_it():
    spellings = AnyOf((("conv.weight_g", "conv.weight_v"), ("conv.weight",)))
    tensors = {"conv.weight_v": Given(array(2))}
    assert problems([Row("w", spellings, max)], tensors, {"w": Shape(2)}) == [
        "missing: conv.weight_g (for w)"
    ]


def test_all_problems_are_gathered_with_the_nearest_names():
    tensors = given(
        out__wieght=array(3, 5),
        extra=array(2),
        norm__scale=array(4),
        head=np.arange(6).reshape(2, 3),
    )
    table = [
        Row("out.kernel", "out.weight", linear),
        Row("norm.scale", "norm.scale"),
        Row("head", "head"),
    ]
    expected = {
        "out": {"kernel": Shape(5, 3), "bias": Shape(3)},
        "norm": {"scale": Shape(3)},
        "head": Shape(2, 3),
    }
    assert problems(table, tensors, expected) == [
        "missing: out.weight (for out.kernel) (nearest: out.wieght)",
        "unexpected: out.wieght (3, 5) (nearest: out.weight)",
        "unexpected: extra (2,)",
        "not filled: out.bias (3,)",
        "shape of norm.scale: checkpoint (4,) from norm.scale (4,), model (3,)",
        "dtype of head: checkpoint int64, expected floating point",
    ]


def test_the_message_counts_and_lists():
    assert str(ImportMismatch("a.pth", ["one"])) == "1 problem importing a.pth: one"
    assert str(ImportMismatch("a.pth", ["1", "2"])) == "2 problems importing a.pth\n  1\n  2"


def test_source_used_twice_is_reported():
    table = [Row("a", "w"), Row("b", "w")]
    assert problems(table, given(w=array(2)), {"a": Shape(2), "b": Shape(2)}) == [
        "used twice: w (for a and b)"
    ]


def test_parameter_filled_twice_is_reported():
    table = [Row("a", "v"), Row("a", "w")]
    assert problems(table, given(v=array(2), w=array(2)), {"a": Shape(2)}) == ["filled twice: a"]


def test_wrong_number_of_layers_is_reported():
    table, expected = [Row("w", "h.{i}.w")], {"w": Shape(2, 3)}
    layers = given(**{f"h__{i}__w": array(3) for i in range(3)})
    assert problems(table, layers, expected) == ["unexpected: h.2.w (3,)"]
    del layers["h.2.w"], layers["h.1.w"]
    assert problems(table, layers, expected) == ["missing: h.1.w (for w)"]


def test_different_leading_axes_of_targets_are_reported():
    tensors = given(h__0=array(4, 3), h__1=array(4, 3))
    table = [Row(("k", "v"), "h.{i}", split_linear(2))]
    found = problems(table, tensors, {"k": Shape(2, 3, 2), "v": Shape(3, 3, 2)})
    assert found[0] == "shape of v: checkpoint (3, 2) from h.0 (4, 3), model (3, 3, 2)"


def test_transform_with_unsuitable_shape_is_reported():
    table, expected = [Row(("k", "v"), "w", split_linear(2))], {"k": Shape(2, 1), "v": Shape(2, 1)}
    assert problems(table, given(w=array(3, 2)), expected) == [
        "shape of k: w (3, 2) cannot be transformed (3 rows do not split into 2)"
    ]


def test_row_with_partly_missing_parameters_is_reported():
    found = problems(
        [Row(("k", "v"), "w", split_linear(2))], given(w=array(2, 2)), {"k": Shape(2, 1)}
    )
    assert "the model has no parameter v" in found


def test_drops_swallow_one_kind_of_name_each():
    table = [Row("w", "w"), Drop("h.{i}.mask", "the model builds its own")]
    tensors = given(w=array(2), h__0__mask=array(1), h__11__mask=array(1))
    done = plan(table, tensors, {"w": Shape(2)}, file="a.pth")
    assert done.dropped == dict.fromkeys(["h.0.mask", "h.11.mask"], "the model builds its own")
    for name in (
        "h.x.mask",
        "h.0.mask.b",
        "h.00.mask",
        "h.-1.mask",
        "h.0.masks",
        "hx0.mask",
        "h..mask",
    ):
        assert problems(table, {"w": tensors["w"], name: Given(array(1))}, {"w": Shape(2)}) == [
            f"unexpected: {name} (1,)"
        ]


def test_index_below_its_shift_does_not_match():
    assert matching("h.{i+1}", ["h.0", "h.1", "h.9"]) == ["h.1", "h.9"]


def test_an_index_that_comes_twice_has_one_value():
    assert matching("a.{i}.b.{i}", ["a.1.b.1", "a.1.b.2"]) == ["a.1.b.1"]


def test_dropped_arrays_are_not_read():
    tensors = given(w=array(2), mask=array(2))
    apply([Row("w", "w"), Drop("mask", "built")], tensors, {"w": Shape(2)}, file="a.pth")
    assert (tensors["w"].reads, tensors["mask"].reads) == (1, 0)


def test_a_copy_must_equal_its_original():
    table = [Row("w", "w"), Drop("alias.w", "a second name", "w")]
    tensors = given(w=array(2), alias__w=array(2))
    apply(table, tensors, {"w": Shape(2)}, file="a.pth")
    tensors["alias.w"].array = tensors["alias.w"].array + 1
    assert problems(table, tensors, {"w": Shape(2)}) == [
        "alias.w should be a copy of w, but differs"
    ]


def test_copy_without_original_is_reported():
    table = [Row("w", "w"), Drop("alias.v", "a second name", "v")]
    assert problems(table, given(w=array(2), alias__v=array(2)), {"w": Shape(2)}) == [
        "alias.v is a copy of v, which is not in the file"
    ]


def test_ignored_names_are_neither_read_nor_unexpected():
    tensors = given(w=array(2), extra=array(2))
    done = plan([Row("w", "w")], tensors, {"w": Shape(2)}, file="a.pth", ignore=["extra", "other"])
    assert done.ignored == ("extra",)
    assert done.read == ("w",)


def test_ignoring_what_is_needed_leaves_it_missing():
    found = problems([Row("w", "w")], given(w=array(2)), {"w": Shape(2)}, ignore=["w"])
    assert found == ["missing: w (for w)"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite_arrays_are_reported_by_name(value):
    bad = array(2, 3)
    bad[1, 2] = value
    tensors = given(h__0=array(2, 3), h__1=bad, v=array(2))
    table = [Row("w", "h.{i}"), Row("v", "v")]
    expected = {"w": Shape(2, 2, 3), "v": Shape(2)}
    assert problems(table, tensors, expected) == ["not finite: h.1"]


def test_overflow_in_the_stored_dtype_is_reported():
    expected = {"w": Shape(2, dtype=np.float16)}
    tensors = {"w": Given(np.array([1, 1e6], np.float32))}
    assert problems([Row("w", "w")], tensors, expected) == ["not finite: w (as float16)"]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_results_have_the_expected_dtype(dtype):
    tensors = {
        "w": Given(array(3).astype(np.float64)),
        "t": Given(array(3).astype(ml_dtypes.bfloat16)),
    }
    expected = {"w": Shape(3, dtype=dtype), "t": Shape(3)}
    tree = apply([Row("w", "w"), Row("t", "t")], tensors, expected, file="a.pth")
    assert (tree["w"].dtype, tree["t"].dtype) == (np.dtype(dtype), np.float32)
    np.testing.assert_array_equal(tree["w"], tensors["w"].array.astype(dtype))


def test_progress_counts_every_array_read():
    tensors = given(g=array(2), v=array(2), h__0=array(1), h__1=array(1))
    table = [Row("w", ("g", "v"), lambda g, v: g + v), Row("h", "h.{i}")]
    expected = {"w": Shape(2), "h": Shape(2, 1)}
    counts = []
    done = plan(table, tensors, expected, file="a.pth")
    read(done, tensors, expected, file="a.pth", progress=counts.append)
    assert sum(counts) == len(done.read) == 4


def test_wrong_file_is_reported_quickly():
    table = [Row(f"blocks.{i}.weight", f"layers.{i}.weight") for i in range(500)]
    expected = {"blocks": {i: {"weight": Shape(2)} for i in range(500)}}
    tensors = {f"stages.{i}.weights": Given(array(2)) for i in range(500)}
    found = problems(table, tensors, expected)
    assert len(found) == 501  # unexpected arrays are one line
    assert "unexpected: 500 arrays under stages., such as stages.0.weights" in found[-1]


def test_flattening_and_nesting_are_inverse():
    tree = {"blocks": {0: {"w": 1}, 1: {"w": 2}}, "out": 3}
    assert nested_like(tree, flatten(tree)) == tree
