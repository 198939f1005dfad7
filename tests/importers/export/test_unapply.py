"""Tables read backwards: import, export and import again, by files of the tiny set."""

import itertools
from typing import Any

import numpy as np
import pytest
import support

from importers import table
from importers.export.unapply import fills, unapply
from importers.release.files import FILES
from importers.table import Row, flatten
from importers.transforms import conv1d, folded, linear, weight_norm

RNG = np.random.default_rng(0)


def importer():
    return support._importer()


def params_of(file: str) -> dict[str, Any]:
    """The parameters that a file fills, those of its components that others fill besides."""
    return {name: support.tiny_params(name) for name in FILES[file].components}


@pytest.mark.parametrize("file", FILES)
def test_untouched_import_gives_back_every_array_as_it_is(file):
    plan, tensors = importer().plans[file], importer().tensors[file]
    back = unapply(plan.fills, params_of(file), tensors)
    assert set(back) == set(plan.read)
    assert all(back[name] is tensors[name] for name in back)


@pytest.mark.parametrize("file", FILES)
def test_import_of_the_export_is_what_was_exported(file):
    """With none of the base's arrays: all are made anew, in the spelling of the file."""
    plan, tensors = importer().plans[file], importer().tensors[file]
    made = unapply(plan.fills, params_of(file))
    assert set(made) == set(plan.read)
    assert all(made[name].shape == tensors[name].shape for name in made)
    expected = importer().expected[file]
    again = flatten(table.read(plan, {**tensors, **made}, expected, file=file))
    before = flatten(params_of(file))
    spelled = {
        target
        for fill in plan.fills
        if len(fill.sources[0]) == 2 and fill.sources[0][0].endswith("_g")
        for target in fill.targets
    }
    for path, array in again.items():
        np.testing.assert_array_max_ulp(array, before[path], 1 if path in spelled else 0)


@pytest.mark.parametrize("file", FILES)
def test_names_without_a_base_are_those_of_the_published_file(file):
    plan = importer().plans[file]
    found = fills(FILES[file].rows(importer().config), importer().expected[file])

    def plain(all_of):
        return {(fill.targets, fill.stack, fill.sources) for fill in all_of}

    assert plain(found) == plain(plan.fills)


class Held:
    """An array of a base."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def read(self):
        return self.array


def exported(rows, params, base):
    shapes = {name: Held(array) for name, array in base.items()}
    found = [fill for row in rows for fill in table.fills_of(row, flatten(params), shapes)]
    return shapes, unapply(found, params, shapes)


def test_only_the_changed_layer_is_rewritten():
    base = {f"h.{i}.w": RNG.normal(size=(3, 5)).astype(np.float32) for i in range(3)}
    kernel = np.stack([array.T for array in base.values()])
    kernel[1] += 1
    held, back = exported([Row("w", "h.{layer}.w", linear)], {"w": kernel}, base)
    assert [back[name] is held[name] for name in base] == [True, False, True]
    np.testing.assert_array_equal(back["h.1.w"].read(), kernel[1].T)


@pytest.mark.parametrize(
    ("stored", "ours"), list(itertools.product(("float32", "bfloat16"), repeat=2))
)
def test_the_dtype_is_that_of_the_file(stored, ours):
    base = {"a": RNG.normal(size=3).astype(stored), "b": RNG.normal(size=3).astype(stored)}
    params = {"a": base["a"].astype(ours), "b": (base["b"].astype(np.float32) + 1).astype(ours)}
    held, back = exported([Row("a", "a"), Row("b", "b")], params, base)
    # What the import rounds is equal to what it was rounded from.
    assert back["a"] is held["a"]
    assert back["b"].read().dtype == stored
    np.testing.assert_array_equal(back["b"].read(), params["b"].astype(stored))


def test_a_zero_of_another_sign_is_another_array():
    base = {"a": np.zeros(3, np.float32)}
    held, back = exported([Row("a", "a")], {"a": -base["a"]}, base)
    assert back["a"] is not held["a"]


def test_weight_norm_is_spelled_as_the_file_has_it():
    weight = RNG.normal(size=(3, 5, 7)).astype(np.float32)
    rows = [Row("kernel", weight_norm("conv"), folded(conv1d))]
    other = RNG.normal(size=weight.shape).astype(np.float32)
    parts = {"conv.weight_g": np.ones((3, 1, 1), np.float32), "conv.weight_v": other}
    new = {
        f"conv.parametrizations.weight.original{i}": array for i, array in enumerate(parts.values())
    }
    for base in (parts, new, {"conv.weight": other}):
        _, back = exported(rows, {"kernel": conv1d(weight)}, base)
        assert list(back) == list(base)
        again = folded(conv1d)(*(tensor.read() for tensor in back.values()))
        np.testing.assert_array_max_ulp(again, conv1d(weight), 1)
