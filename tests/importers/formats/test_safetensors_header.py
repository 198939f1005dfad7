"""`.safetensors` files: sound ones, and headers that lie."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest

from importers.formats.tensors import BARE, SourceError, open_tensors

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 5)).astype(np.float32)
B = RNG.normal(size=(7,)).astype(np.float32)


def refused(path, match, **options):
    with pytest.raises(SourceError, match=match) as caught:
        open_tensors(path, **options)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def safetensors(path, header, data=b"", size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if size is None else size) + text + data)
    return path


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_reads_what_the_library_writes(tmp_path):
    from safetensors.numpy import save_file

    arrays = {
        "x.a": A,
        "x.b": B.astype(np.float16),
        "c": np.arange(3),
        "d": np.array(2.5, np.float32),
    }
    save_file(arrays, tmp_path / "a.safetensors", metadata={"format": "pt"})
    tensors = open_tensors(tmp_path / "a.safetensors")
    assert set(tensors) == set(arrays)
    for name, array in arrays.items():
        assert tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(tensors[name].read(), array)


def test_bfloat16_has_its_values(tmp_path):
    values = A.astype(ml_dtypes.bfloat16)
    header = {"a": entry("BF16", [3, 5], 0, 30)}
    tensor = open_tensors(safetensors(tmp_path / "a.safetensors", header, values.tobytes()))["a"]
    np.testing.assert_array_equal(tensor.read(), values)


def test_a_prefix_that_all_names_have_is_taken_away(tmp_path):
    path = tmp_path / "a.safetensors"
    both = {"net.a": entry("U8", [1], 0, 1), "net.b": entry("U8", [1], 1, 2)}
    assert list(open_tensors(safetensors(path, both, b"01"), part="net")) == ["a", "b"]
    both = {"net.a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 1, 2)}
    assert list(open_tensors(safetensors(path, both, b"01"), part="net")) == ["net.a", "b"]
    both = {"module.a": entry("U8", [1], 0, 1), "module.b": entry("U8", [1], 1, 2)}
    assert list(open_tensors(safetensors(path, both, b"01"))) == ["a", "b"]


def test_a_module_that_all_names_of_a_part_have_is_taken_away(tmp_path):
    path = tmp_path / "a.safetensors"
    names = ["net.cfm.module.a", "net.cfm.module.module.b", "net.other.module.a", "net.other.b"]
    header = {name: entry("U8", [1], i, i + 1) for i, name in enumerate(names)}
    tensors = open_tensors(safetensors(path, header, b"0123"), part="net")
    assert list(tensors) == ["cfm.a", "cfm.module.b", "other.module.a", "other.b"]


def test_one_array_under_any_name_is_bare(tmp_path):
    path = safetensors(tmp_path / "a.safetensors", {"feat": entry("U8", [2], 0, 2)}, b"01")
    assert list(open_tensors(path, bare=True)) == [BARE]


@pytest.mark.parametrize(
    ("header", "data", "match"),
    [
        ({"a": entry("F32", [2], 0, 8)}, b"1234", "wrong about 'a': it ends at byte"),
        ({"a": entry("F32", [2], 0, 4)}, b"1234", "8 bytes from shape and dtype, 4 from offsets"),
        ({"a": entry("F32", [1], 8, 12)}, b"1" * 12, "'a' leaves a gap"),
        (
            {"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 0, 4)},
            b"1234",
            "overlaps another array",
        ),
        ({"a": entry("F32", [1], 0, 4)}, b"12345", "describes .* bytes, and the file has"),
        ({"a": entry("F32", [2**40, 2**40], 0, 4)}, b"1234", "wrong about 'a'"),
        ({"a": entry("F32", [-1], 0, 4)}, b"1234", "should be sizes"),
        ({"a": entry("F32", [1], 4, 0)}, b"1234", "from offsets"),
        ({"a": entry("F32", [1.0], 0, 4)}, b"1234", "should be sizes"),
        ({"a": entry("F32", 1, 0, 4)}, b"1234", "should be lists"),
        ({"a": entry("F8_E4M3", [1], 0, 1)}, b"1", "unknown dtype 'F8_E4M3'"),
        ({"a": entry(["F32"], [1], 0, 4)}, b"1234", "wrong about 'a'"),
        ({"a": {"dtype": "F32"}}, b"", "wrong about 'a'"),
        ({"a": 3}, b"", "wrong about 'a'"),
        ([1], b"", "not a JSON object"),
        (b"{not json", b"", "damaged safetensors header"),
        (b'{"a": 1, "a": 2}', b"", "a name occurs twice"),
        (b"[" * 100_000, b"", "damaged safetensors header"),
        (b"\xff\xfe", b"", "damaged safetensors header"),
    ],
)  # fmt: skip
def test_inconsistent_headers_are_rejected(tmp_path, header, data, match):
    refused(safetensors(tmp_path / "a.safetensors", header, data), match)


@pytest.mark.parametrize("size", [2**63, 2**25 + 1, 1000])
def test_header_longer_than_the_file_is_rejected(tmp_path, size):
    path = safetensors(tmp_path / "a.safetensors", {}, b"", size)
    refused(path, "its header claims")
