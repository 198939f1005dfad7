"""Published files as named arrays: what is read, under which name, and what is not."""

import sys

import numpy as np
import pytest
import support
import torch_files
from torch_files import Call, Global, View

from importers.formats.tensors import BARE, SourceError, open_tensors

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 5)).astype(np.float32)
B = RNG.normal(size=(7,)).astype(np.float32)


def saved(tmp_path, value, name="a.pth", **options):
    return torch_files.save(tmp_path / name, value, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "uint8"])
def test_reads_every_dtype(tmp_path, dtype):
    array = (10 * A).astype(dtype)
    tensor = open_tensors(saved(tmp_path, {"a": array}))["a"]
    assert (tensor.shape, tensor.dtype) == (array.shape, array.dtype)
    np.testing.assert_array_equal(tensor.read(), array)


def test_nested_names_are_joined_by_dots(tmp_path):
    tensors = open_tensors(saved(tmp_path, {"a": {"b": A, 3: {"c": B}}, "d": B}))
    assert list(tensors) == ["a.b", "a.3.c", "d"]
    np.testing.assert_array_equal(tensors["a.3.c"].read(), B)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (4, 5), (5, 1)),
        (2, (5, 3), (1, 5)),
        (3, (2, 3), (7, 2)),
        (1, (4, 2), (0, 1)),
        (9, (), ()),
    ],
    ids=["contiguous", "transposed", "strided", "expanded", "scalar"],
)
def test_honours_offsets_and_strides(tmp_path, offset, shape, strides):
    storage = np.arange(20, dtype=np.float32)
    tensor = open_tensors(saved(tmp_path, {"a": View(storage, offset, shape, strides)}))["a"]
    steps = tuple(4 * step for step in strides)
    expected = np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)
    np.testing.assert_array_equal(tensor.read(), expected)


def test_an_empty_tensor_has_its_shape(tmp_path):
    tensor = open_tensors(saved(tmp_path, {"a": np.empty((0, 3), np.float32)}))["a"]
    assert tensor.read().shape == (0, 3)


def test_arrays_are_read_only(tmp_path):
    array = open_tensors(saved(tmp_path, {"a": A}))["a"].read()
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_arrays_outlive_a_release(tmp_path):
    tensors = open_tensors(saved(tmp_path, {"a": A}))
    array = tensors["a"].read()
    tensors.release()
    np.testing.assert_array_equal(array, A)


def test_a_bare_tensor_has_the_constant_name(tmp_path):
    assert list(open_tensors(saved(tmp_path, A), bare=True)) == [BARE]


def test_dictionary_is_not_a_bare_tensor(tmp_path):
    with pytest.raises(SourceError, match="one bare array, got 2"):
        open_tensors(saved(tmp_path, {"a": A, "b": B}), bare=True)


def test_module_goes_where_every_name_of_a_dictionary_has_it(tmp_path):
    value = {
        "all": {"module.a.b": A, "module.c": B},
        "some": {"module.a": A, "c": B},
        "below": {"module.x": {"module.y": B}},
    }
    assert list(open_tensors(saved(tmp_path, value))) == [
        "all.a.b",
        "all.c",
        "some.module.a",
        "some.c",
        "below.x.y",
    ]


def test_a_parameter_is_its_tensor(tmp_path):
    parameter = Call(
        Global("torch._utils", "_rebuild_parameter"),
        (A, True, Call(Global("collections", "OrderedDict"))),
    )
    np.testing.assert_array_equal(open_tensors(saved(tmp_path, {"a": parameter}))["a"].read(), A)


def test_an_ordered_dictionary_with_metadata_is_a_dictionary(tmp_path):
    pairs = [("a", A), ("b", B)]
    state = {"_metadata": {"": {"version": 1}}}
    value = Call(Global("collections", "OrderedDict"), ([list(p) for p in pairs],), state)
    assert list(open_tensors(saved(tmp_path, value))) == ["a", "b"]


# Parts.


def test_a_part_is_chosen(tmp_path):
    path = saved(tmp_path, {"net": {"a": A}, "iters": 3})
    assert list(open_tensors(path, part="net")) == ["a"]


def test_a_part_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match="under the key 'net'; the file holds model"):
        open_tensors(saved(tmp_path, {"model": {"a": A}}), part="net")


def test_an_optional_part_may_be_absent(tmp_path):
    for value in ({"model": {"a": A}, "step": 1}, {"a": A}):
        tensors = open_tensors(saved(tmp_path, value), part="model", optional=True)
        assert list(tensors) == ["a"]


def test_arrays_of_other_parts_are_never_read(tmp_path):
    big = np.zeros(2**22, np.float32)
    path = saved(tmp_path, {"net": {"a": A}, "optimizer": {"state": {0: {"exp_avg": big}}}})
    tensors = open_tensors(path, part="net")
    tensors["a"].read()
    assert tensors.bytes_read < 2**17  # most of it the end, where the directory is looked for
    assert path.stat().st_size > 2**24


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts pages as Linux does")
def test_pages_of_other_parts_are_never_touched(tmp_path):
    big = np.zeros(2**24, np.float32)
    path = saved(tmp_path, {"net": {"a": A, "b": B}, "optimizer": {0: big}})
    tensors = open_tensors(path, part="net")
    for tensor in tensors.values():
        tensor.read().sum()
    resident, inside = 0, False
    with open("/proc/self/smaps") as maps:
        for line in maps:
            if "-" in line.split()[0]:
                inside = line.rstrip().endswith(str(path))
            elif inside and line.startswith("Rss:"):
                resident += int(line.split()[1])
    assert 0 < resident < 2**12  # kB; the system maps some pages around those that are touched


def test_arrays_of_other_parts_need_not_even_be_there(tmp_path):
    path = saved(
        tmp_path,
        {"net": {"a": A}, "optimizer": {0: B}},
        change=lambda entries: entries.pop("archive/data/1"),
    )
    np.testing.assert_array_equal(open_tensors(path, part="net")["a"].read(), A)


def test_sizes_of_64_bits_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("zipfile.ZIP64_LIMIT", 8)  # the writer then stores every number as 64 bits
    path = saved(tmp_path, {"a": A, "b": B})
    assert b"PK\x06\x06" in path.read_bytes()
    tensors = open_tensors(path)
    np.testing.assert_array_equal(tensors["a"].read(), A)
    np.testing.assert_array_equal(tensors["b"].read(), B)


# The files of the tiny set, and the real ones.

TINY = [
    ("gpt.pth", {"part": "model", "optional": True}, 225),
    ("s2mel.pth", {"part": "net"}, 150),
    ("feat1.pt", {"bare": True}, 1),
    ("feat2.pt", {"bare": True}, 1),
    ("wav2vec2bert_stats.pt", {}, 2),
    ("campplus/campplus_cn_common.bin", {}, 937),
    ("bigvgan/bigvgan_generator.pt", {"part": "generator"}, 783),
    ("semantic_codec/model.safetensors", {}, 59),
    ("w2v-bert-2.0/model.safetensors", {}, 581),
]


@pytest.mark.parametrize(("name", "options", "count"), TINY, ids=[name for name, _, _ in TINY])
def test_counts_the_arrays_of_the_tiny_set(name, options, count):
    tensors = open_tensors(support.CHECKPOINTS / name, **options)
    assert len(tensors) == count
    assert all(np.isfinite(tensor.read()).all() for tensor in tensors.values())


def flat(value, prefix=""):
    items = {}
    for key, child in value.items():
        items |= (
            flat(child, f"{prefix}{key}.") if isinstance(child, dict) else {f"{prefix}{key}": child}
        )
    return items


@pytest.mark.parametrize(("name", "options", "count"), TINY, ids=[name for name, _, _ in TINY])
def test_reads_what_torch_reads(name, options, count):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    path = support.CHECKPOINTS / name
    value = (
        load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    )
    value = value.get(options.get("part"), value) if isinstance(value, dict) else {BARE: value}
    reference = flat(value)
    tensors = open_tensors(path, **options)
    assert set(tensors) == set(reference)
    for key, tensor in tensors.items():
        np.testing.assert_array_equal(tensor.read(), reference[key].detach().numpy(), strict=True)


def test_reads_what_torch_saves(tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.randn(6, 7)
    module = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Conv1d(3, 5, 7))
    value = {
        "net": {
            "plain": base,
            "transposed": base.T,
            "slice": base[1:4, 2:7:2],
            "expanded": base[:, :1].expand(6, 9),
            "parameter": torch.nn.Parameter(base * 2),
            "half": base.half(),
            "bfloat16": base.bfloat16(),
            "scalar": torch.tensor(3.0),
            "empty": torch.zeros(0, 4),
            "module": module.state_dict(),
        },
        "optimizer": torch.optim.Adam(module.parameters()).state_dict(),
        "unknown": torch.optim.lr_scheduler.LambdaLR,
    }
    torch.save(value, tmp_path / "a.pth")
    reference = flat(value["net"])
    tensors = open_tensors(tmp_path / "a.pth", part="net")
    assert set(tensors) == set(reference)
    for key, tensor in tensors.items():
        expected = reference[key].detach()
        assert str(expected.dtype) == f"torch.{tensor.dtype.name}"
        np.testing.assert_array_equal(tensor.read().astype(float), expected.double().numpy())


def test_legacy_torch_files_are_reported(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(SourceError, match="before version"):
        open_tensors(tmp_path / "a.pth")


def test_torch_reads_the_files_that_these_tests_write(tmp_path):
    torch = pytest.importorskip("torch")
    value = torch.load(saved(tmp_path, {"a": A, "b": [B, 3, None]}), weights_only=True)
    np.testing.assert_array_equal(value["a"].numpy(), A)
    np.testing.assert_array_equal(value["b"][0].numpy(), B)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("feat1.pt", {BARE: (73, 192)}),
        ("feat2.pt", {BARE: (73, 1280)}),
        ("wav2vec2bert_stats.pt", {"mean": (1024,), "var": (1024,)}),
    ],
)
def test_reads_the_real_files(name, shapes):
    tensors = open_tensors(support.real(name))
    assert {key: tensor.shape for key, tensor in tensors.items()} == shapes
    assert all(np.isfinite(tensor.read()).all() for tensor in tensors.values())
