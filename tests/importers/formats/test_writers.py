"""Files as PyTorch and safetensors write them, read by our readers and by theirs."""

import zipfile

import ml_dtypes
import numpy as np
import pytest

from importers.export.unapply import made
from importers.formats.safetensors_writer import write_safetensors
from importers.formats.tensors import BARE, open_tensors
from importers.formats.torch_writer import ALIGNMENT, write_torch

RNG = np.random.default_rng(0)
DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool")
ARRAYS = {
    **{dtype: (10 * RNG.normal(size=(3, 5))).astype(dtype) for dtype in DTYPES},
    "scalar": np.asarray(7, np.int64),
    "empty": np.empty((0, 3), np.float32),
    "transposed": RNG.normal(size=(2, 3, 5)).astype(np.float32).transpose(2, 0, 1),
    "单 \U0001f600": np.ones(1, np.float32),
}
GIVEN = {name: made(array) for name, array in ARRAYS.items()}


def assert_equal(tensors, arrays):
    assert list(tensors) == list(arrays)
    for name, array in arrays.items():
        assert tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(tensors[name].read(), array)


@pytest.fixture(scope="module")
def torch_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("torch") / "a.pth"
    layout = {"net": {"inner": {name: name for name in ARRAYS}, 3: {}}}
    write_torch(path, layout, GIVEN)
    return path


def test_torch_file_gives_the_arrays_that_were_written(torch_file):
    assert_equal(open_tensors(torch_file, part="net"), {f"inner.{n}": a for n, a in ARRAYS.items()})


def test_storages_of_a_torch_file_are_aligned(torch_file):
    data = torch_file.read_bytes()
    with zipfile.ZipFile(torch_file) as archive:
        for entry in archive.infolist():
            sizes = np.frombuffer(data, "<u2", 2, entry.header_offset + 26)
            start = entry.header_offset + 30 + int(sizes.sum())
            assert start % ALIGNMENT == 0, entry.filename
            assert data[start : start + entry.file_size] == archive.read(entry)


@pytest.mark.parametrize("mapped", [False, True])
def test_torch_loads_the_file_as_weights(torch_file, mapped):
    torch = pytest.importorskip("torch")
    loaded = torch.load(torch_file, weights_only=True, mmap=mapped)["net"]["inner"]
    assert list(loaded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        tensor = loaded[name]
        assert tensor.is_contiguous()
        assert str(tensor.dtype) == f"torch.{array.dtype.name}"
        wide = tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy()
        np.testing.assert_array_equal(wide, array.astype(wide.dtype))


def test_a_file_of_one_array_stays_one(tmp_path):
    write_torch(tmp_path / "a.pt", BARE, {BARE: GIVEN["transposed"]})
    assert_equal(open_tensors(tmp_path / "a.pt", bare=True), {BARE: ARRAYS["transposed"]})


def test_safetensors_file_gives_the_arrays_that_were_written(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", GIVEN)
    assert_equal(open_tensors(tmp_path / "a.safetensors"), ARRAYS)


def test_the_library_reads_our_safetensors_file(tmp_path):
    from safetensors import safe_open

    given = {n: t for n, t in GIVEN.items() if t.dtype != ml_dtypes.bfloat16}
    write_safetensors(tmp_path / "a.safetensors", given)
    with safe_open(tmp_path / "a.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}
        for name, tensor in given.items():
            np.testing.assert_array_equal(file.get_tensor(name), tensor.read())


def test_an_unknown_dtype_is_refused(tmp_path):
    given = {"a": made(np.zeros(2, np.complex64))}
    with pytest.raises(TypeError, match="complex64"):
        write_torch(tmp_path / "a.pth", {"a": "a"}, given)
    with pytest.raises(TypeError, match="complex64"):
        write_safetensors(tmp_path / "a.safetensors", given)


@pytest.mark.nightly
def test_a_storage_past_4_gb_is_written(tmp_path):
    """The zip format then needs wider sizes in the headers."""
    array = np.broadcast_to(np.asarray(7, np.uint8), (2**32 + 5,))
    write_torch(tmp_path / "a.pth", {"a": "a", "b": "b"}, {"a": made(array), "b": GIVEN["float32"]})
    tensors = open_tensors(tmp_path / "a.pth")
    assert tensors["a"].shape == array.shape
    assert tensors["a"].read()[-1] == 7
    np.testing.assert_array_equal(tensors["b"].read(), ARRAYS["float32"])
