"""Where sizes come from: settings, one axis of one tensor, or what the reference hard-codes."""

import numpy as np
import pytest

from importers.sizes import Axis, Fixed, Setting, resolve
from importers.table import ImportMismatch

SETTINGS = {"gpt": {"model_dim": 64, "mult": 2, "sizes": [1, 2]}}


class Shape:
    def __init__(self, *shape):
        self.shape, self.dtype = shape, np.dtype(np.float32)


def values(sizes, tensors=None):
    return resolve(sizes, SETTINGS, tensors or {}, file="gpt.pth")


def test_a_setting_is_looked_up_by_its_path():
    assert values({"width": Setting("gpt.model_dim")}) == {"width": 64}


def test_a_setting_may_be_computed_from_several():
    both = Setting(("gpt.model_dim", "gpt.mult"), lambda width, mult: width * mult)
    assert values({"inner": both}) == {"inner": 128}


def test_a_setting_may_be_a_whole_section():
    assert values({"count": Setting("gpt.sizes", len)}) == {"count": 2}


def test_an_axis_is_that_of_one_tensor():
    assert values({"kernel": Axis("conv", 2, lambda k: k + 1)}, {"conv": Shape(3, 5, 7)}) == {
        "kernel": 8
    }


def test_a_fixed_number_is_itself():
    assert values({"depth": Fixed(2, "PerceiverResampler")}) == {"depth": 2}


def test_all_missing_sources_are_reported_at_once():
    sizes = {
        "kernel": Axis("conv.weight", 2),
        "inner": Axis("flat", 1),
        "width": Setting("gpt.modeldim"),
        "deep": Setting("gpt.model_dim.x"),
        "count": Setting("gpt.model_dim", len),
    }
    with pytest.raises(ImportMismatch) as caught:
        values(sizes, {"conv.wieght": Shape(3, 5, 7), "flat": Shape(3)})
    assert list(caught.value.problems) == [
        "missing: conv.weight (for the size kernel) (nearest: conv.wieght)",
        "shape of flat: (3,) has no axis 1 (for the size inner)",
        "no usable setting gpt.modeldim (for the size width)",
        "no usable setting gpt.model_dim.x (for the size deep)",
        "no usable setting gpt.model_dim (for the size count)",
    ]
