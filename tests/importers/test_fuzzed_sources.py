"""Damage of any kind: an error, or the file is still readable; never another exception."""

import numpy as np
import pytest
import safetensors.numpy
import torch_files
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_files import Call, Global

from importers.sources import SourceError, open_tensors

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 5)).astype(np.float32)
B = RNG.normal(size=(7,)).astype(np.float32)
SYSTEM = Global("posix", "system")


def survives(path, **options):
    try:
        for tensor in open_tensors(path, **options).values():
            if np.prod(tensor.shape, dtype=float) < 1e6:
                tensor.read().sum()
    except SourceError as error:
        told = str(error)
        assert "\n" not in told


MUTATIONS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
)


def mutated(data, changes):
    data = bytearray(data)
    for place, byte in changes:
        data[int(place * len(data))] = byte
    return bytes(data)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    value = {"net": {"a": A, "b": {"c": B}}, "optimizer": {"s": Call(SYSTEM, ("false",))}, "i": 1.5}
    whole = torch_files.save(folder / "a.pth", value).read_bytes()
    return folder, whole, safetensors.numpy.save({"a": A, "b": B}), torch_files.dump(value)


@settings(max_examples=300, deadline=None)
@given(changes=MUTATIONS)
def test_mutated_archives_do_no_harm(sound, changes):
    folder, whole, _, _ = sound
    path = folder / "mutated.pth"
    path.write_bytes(mutated(whole, changes))
    survives(path, part="net")


@settings(max_examples=300, deadline=None)
@given(changes=MUTATIONS)
def test_mutated_pickles_do_no_harm(sound, changes):
    folder, _, _, opcodes = sound
    change = {"archive/data.pkl": mutated(opcodes, changes)}
    value = {"net": {"a": A, "b": {"c": B}}}
    survives(
        torch_files.save(folder / "p.pth", value, change=lambda e: e.update(change)), part="net"
    )


@settings(max_examples=300, deadline=None)
@given(changes=MUTATIONS)
def test_mutated_safetensors_do_no_harm(sound, changes):
    folder, _, safe, _ = sound
    path = folder / "mutated.safetensors"
    path.write_bytes(mutated(safe, changes))
    survives(path)


@settings(max_examples=200, deadline=None)
@given(opcodes=st.binary(max_size=200))
def test_random_pickles_do_no_harm(sound, opcodes):
    change = {"archive/data.pkl": b"\x80\x02" + opcodes}
    survives(torch_files.save(sound[0] / "r.pth", None, change=lambda e: e.update(change)))
