"""Arrays by name in files that are only added to."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from indextts_jax.errors import InputError
from indextts_jax.training.data.shards import Shards

ARRAYS = {
    "a/1": np.arange(7, dtype=np.int32),
    "b/1": np.linspace(0, 1, 6, dtype=np.float16).reshape(2, 3),
    "c/1": np.full((3, 2), 1.5, ml_dtypes.bfloat16),
    "d/1": np.arange(5, dtype=np.uint16),
    "empty": np.zeros((0, 4), np.float32),
}


def written(folder: Path, **options: int) -> Shards:
    store = Shards(folder, **options)
    for name, array in ARRAYS.items():
        store.put(name, array)
    store.flush()
    return store


@pytest.mark.parametrize("limit", [1, 40, 2**20])
def test_arrays_come_back_whatever_the_size_of_the_files(tmp_path: Path, limit: int) -> None:
    written(tmp_path, shard_bytes=limit)
    store = Shards(tmp_path)
    for name, array in ARRAYS.items():
        found = store[name]
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found.view(np.uint8), array.view(np.uint8))


def test_a_file_holds_no_more_than_the_limit(tmp_path: Path) -> None:
    written(tmp_path, shard_bytes=40)
    assert len(list(tmp_path.iterdir())) == 2  # bytes: 28 + 12, then 12 + 10 + 0


def test_more_arrays_leave_the_first_file_alone(tmp_path: Path) -> None:
    written(tmp_path)
    (first,) = tmp_path.iterdir()
    before = first.read_bytes()
    store = Shards(tmp_path)
    store.put("new", np.zeros(3, np.float32))
    store.flush()
    assert first.read_bytes() == before
    assert "new" in Shards(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_array_that_is_there_stays(tmp_path: Path) -> None:
    store = written(tmp_path)
    store.put("a/1", np.zeros(1, np.int32))
    store.flush()
    np.testing.assert_array_equal(Shards(tmp_path)["a/1"], ARRAYS["a/1"])
    assert len(list(tmp_path.iterdir())) == 1


def test_later_changes_of_a_buffer_do_not_reach_what_waits(tmp_path: Path) -> None:
    store, buffer = Shards(tmp_path), np.zeros(3, np.float32)
    store.put("x", buffer)
    buffer[:] = 1
    np.testing.assert_array_equal(store["x"], 0)


def test_views_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        written(tmp_path)["a/1"][0] = 1


@pytest.mark.parametrize("size", [0, 7, 30, -1])
def test_a_damaged_file_is_named(tmp_path: Path, size: int) -> None:
    written(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=rf"{path.name} is damaged"):
        Shards(tmp_path)


def test_unknown_dtypes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dtype complex64 is not supported"):
        Shards(tmp_path).put("x", np.zeros(1, np.complex64))
