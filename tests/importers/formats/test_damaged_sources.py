"""Files that are damaged, lie, or would run code: one clear line, and nothing is run."""

import os
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch_files
from torch_files import Call, Global, Raw, View

from importers.formats.tensors import SourceError, open_tensors

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 5)).astype(np.float32)
B = RNG.normal(size=(7,)).astype(np.float32)
SYSTEM = Global("posix", "system")


def saved(tmp_path, value, name="a.pth", **options):
    return torch_files.save(tmp_path / name, value, **options)


def refused(path, match, **options):
    with pytest.raises(SourceError, match=match) as caught:
        open_tensors(path, **options)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# Classes and calls.


def test_unknown_classes_in_other_parts_are_inert(tmp_path):
    marker = tmp_path / "ran"
    path = saved(
        tmp_path,
        {
            "net": {"a": A},
            "scheduler": Call(Global("torch.optim.lr_scheduler", "StepLR"), (1,), {"last": 3}),
            "evil": Call(SYSTEM, (f"touch {marker}",)),
            "worse": [Call(Call(Global("builtins", "getattr"), (SYSTEM, "x")), ())],
            "set": Raw(b"\x8f"),
            Call(Global("numpy", "dtype"), ("f4",)): 1,
        },
    )
    assert list(open_tensors(path, part="net")) == ["a"]
    assert not marker.exists()


def test_a_call_in_a_part_that_is_read_is_refused_by_name(tmp_path):
    marker = tmp_path / "ran"
    path = saved(tmp_path, {"net": {"a": A, "b": Call(SYSTEM, (f"touch {marker}",))}})
    refused(
        path, r"refused, 'b' is posix\.system, not an array \(none of it was executed\)", part="net"
    )
    assert not marker.exists()


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (Global("builtins", "eval"), "'b' is builtins.eval"),
        (Call(Global("my", "Layer"), (), {"x": 1}), "'b' is my.Layer"),
        (Call(Global("torch._utils", "_rebuild_sparse_tensor"), (A,)), "_rebuild_sparse_tensor"),
        (Call(Global("torch._utils", "_rebuild_qtensor"), (A,)), "_rebuild_qtensor"),
        (3, "'b' is not an array but int"),
        ([A, B], "'b' is not an array but list"),
        (None, "'b' is not an array but NoneType"),
    ],
    ids=["name", "object", "sparse", "quantised", "number", "list", "none"],
)
def test_non_arrays_are_rejected_by_name(tmp_path, value, match):
    refused(saved(tmp_path, {"a": A, "b": value}), match)


def test_non_arrays_can_be_ignored_by_name(tmp_path):
    tensors = open_tensors(saved(tmp_path, {"a": A, "step": 3}), ignore=["step", "other"])
    assert list(tensors) == ["a"]
    assert tensors.ignored == ("step",)


def test_a_tensor_whose_type_runs_code_is_refused(tmp_path):
    value = Call(
        Global("torch._tensor", "_rebuild_from_type_v2"),
        (SYSTEM, Global("torch", "Tensor"), ("true",), {}),
    )
    refused(saved(tmp_path, {"a": value}), "a tensor made by posix.system")


# Damaged and hostile files of PyTorch.


@pytest.mark.parametrize(
    "view",
    [
        View(np.zeros(4, np.float32), 0, (5,), (1,)),
        View(np.zeros(4, np.float32), 1, (2, 2), (2, 1)),
        View(np.zeros(4, np.float32), 0, (2, 2), (2**40, 1)),
        View(np.zeros(4, np.float32), -1, (2,), (1,)),
        View(np.zeros(4, np.float32), 3, (4,), (-1,)),
        View(np.zeros(4, np.float32), 0, (2, 2), (1,)),
    ],
    ids=["long", "late", "wide", "before", "backwards", "ranks"],
)
def test_views_past_their_storage_are_refused(tmp_path, view):
    refused(saved(tmp_path, {"a": view}), "refused, 'a' is torch._utils._rebuild_tensor_v2")


def test_a_storage_of_another_size_is_refused(tmp_path):
    def shorten(entries):
        entries["archive/data/0"] = entries["archive/data/0"][:-4]

    refused(saved(tmp_path, {"a": A}, change=shorten), "data/0 has 56 bytes, expected 60")


def test_a_storage_that_is_not_there_is_named(tmp_path):
    path = saved(tmp_path, {"a": A}, change=lambda entries: entries.pop("archive/data/0"))
    refused(path, "data/0 is not in the archive")


def test_a_compressed_file_is_refused_before_anything_is_unpacked(tmp_path):
    bomb = np.zeros(2**24, np.float32)
    path = saved(tmp_path, {"a": bomb}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**18
    refused(path, "is compressed; .* torch.save")


def test_big_endian_files_are_refused(tmp_path):
    path = saved(tmp_path, {"a": A}, change=lambda e: e.update({"archive/byteorder": b"big"}))
    refused(path, "byte order b'big'")


@pytest.mark.parametrize("name", ["../../etc/x", "/etc/x", "archive/../../x", "archive\\x"])
def test_paths_that_climb_are_refused(tmp_path, name):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("x" * len(name))
        archive.writestr(entry, b"")
    data = path.read_bytes().replace(b"x" * len(name), name.encode())
    path.write_bytes(data)
    refused(path, r"path has \.\.")


def test_an_entry_that_comes_twice_is_refused(tmp_path):
    path = saved(tmp_path, {"a": A})
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data.pkl", b"")
    refused(path, "two entries 'archive/data.pkl'")


@pytest.mark.parametrize("size", [5, 2**31])
def test_wrong_directory_size_is_rejected(tmp_path, size):
    path = saved(tmp_path, {"a": A})
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.rfind(b"PK\x05\x06") + 12, size)
    path.write_bytes(data)
    refused(path, "damaged zip file|without its directory")


def test_a_huge_directory_is_refused_before_it_is_read(tmp_path):
    path = saved(tmp_path, {"a": A})
    data = path.read_bytes()
    with path.open("r+b") as file:  # a sparse file; its directory is said to be all of it
        file.truncate(2**26)
        file.seek(0, 2)
        file.write(data[-22:-10] + struct.pack("<LLH", 2**26, 0, 0))
    refused(path, "a directory of 67,108,864 bytes")


def test_an_encrypted_entry_is_refused(tmp_path):
    path = saved(tmp_path, {"a": A})
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(path, "is encrypted")


def test_misplaced_entry_is_rejected(tmp_path):
    path = saved(tmp_path, {"a": A})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"archive/data.pkl", b"archive/data.abc", 1))
    refused(path, "archive/data.pkl is not where it should be")


def test_a_zip_of_something_else_is_refused(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", b"hello")
    refused(path, "not one that torch.save wrote")


def test_a_program_is_refused(tmp_path):
    path = saved(tmp_path, {"a": A}, change=lambda e: e.update({"archive/constants.pkl": b""}))
    refused(path, "TorchScript")


def test_every_truncation_is_an_error(tmp_path):
    path = saved(tmp_path, {"a": A, "b": B})
    data = path.read_bytes()
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])
        refused(path, ".")


def test_truncated_downloads_are_reported(tmp_path):
    path = saved(tmp_path, {"a": A})
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, "cut off .* download it again")


def test_a_huge_pickle_is_refused_by_its_size(tmp_path):
    path = saved(
        tmp_path, {"a": A}, change=lambda e: e.update({"archive/data.pkl": bytes(2**25 + 1)})
    )
    refused(path, "a pickle of 33,554,433 bytes")


@pytest.mark.parametrize(
    ("opcodes", "match"),
    [
        (b"\x80\x02(", "ends too early"),
        (b"\x80\x02.", "damaged pickle"),
        (b"\x80\x02h\x07.", "damaged pickle"),
        (b"\x80\x02X\xff\xff\xff\xffabc.", "ends too early"),
        (b"\x80\x02K\x01K\x02s.", "damaged pickle"),
        (b"\x80\x02(((t.", "more than one value"),
        (b"\x80\x02cos\nsystem", "damaged pickle"),
        (b"cos\nsystem\n(S'true'\ntR.", "opcode 0x53"),
        (b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00.", "opcode 0x95"),
        (b"\x80\x02r\xff\xff\xff\x7f.", "damaged pickle"),
    ],
)
def test_damaged_pickles_are_errors(tmp_path, opcodes, match):
    path = saved(tmp_path, None, change=lambda e: e.update({"archive/data.pkl": opcodes}))
    refused(path, match)


def test_an_endless_pickle_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("importers.formats.pickles.MAX_STEPS", 1000)
    opcodes = b"\x80\x02" + b"]" * 1001 + b"."
    path = saved(tmp_path, None, change=lambda e: e.update({"archive/data.pkl": opcodes}))
    refused(path, "more than 1,000 steps")


def test_copies_of_copies_do_not_fill_the_memory(tmp_path):
    pairs = b"](" + b"(K\x01K\x02t" * 100_000 + b"eq\x00"  # a long list of pairs, remembered
    again = b"ccollections\nOrderedDict\nh\x00\x85R"
    opcodes = b"\x80\x02](" + pairs + again * 1000 + b"e."
    path = saved(tmp_path, None, change=lambda e: e.update({"archive/data.pkl": opcodes}))
    refused(path, "too much to build")


def test_one_dictionary_in_many_places_does_not_run_for_ever(tmp_path):
    opcodes = b"\x80\x02}q\x00"
    for level in range(1, 15):
        items = b"".join(b"K" + bytes([i]) + b"h" + bytes([level - 1]) for i in range(50))
        opcodes += b"0}(" + items + b"uq" + bytes([level])
    opcodes = opcodes.replace(b"0}", b"}").replace(b"\x80\x02", b"\x80\x02(", 1) + b"t."
    value = Raw(b"}" + torch_files.text("net") + _nested_dictionaries() + b"s")
    path = saved(tmp_path, value)
    refused(path, "nested too deeply, or too many", part="net")
    path = saved(tmp_path, None, change=lambda e: e.update({"archive/data.pkl": opcodes}))
    refused(path, "not an array but tuple")


def _nested_dictionaries():
    """Fifteen levels of a hundred times the same dictionary: 1e30 places for three kilobytes."""
    inner = b"}q\x00"
    for level in range(1, 15):
        first = torch_files.text("0") + inner
        rest = b"".join(torch_files.text(str(i)) + b"h" + bytes([level - 1]) for i in range(1, 100))
        inner = b"}(" + first + rest + b"uq" + bytes([level])
    return inner


def test_keys_that_hash_forever_are_inert(tmp_path):
    key = b"K\x01"
    for level in range(60):
        key += b"q" + bytes([level]) + b"h" + bytes([level]) + b"\x86"
    path = saved(tmp_path, {"net": {"a": A}, "x": Raw(b"}" + key + b"Ns")})
    assert list(open_tensors(path, part="net")) == ["a"]


def test_a_dictionary_that_holds_itself_is_refused(tmp_path):
    value = Raw(b"}q\x00" + torch_files.text("a") + b"h\x00s")
    refused(saved(tmp_path, value), "too deep")


def test_names_that_come_twice_after_joining_are_refused(tmp_path):
    refused(saved(tmp_path, {"a.b": A, "a": {"b": B}}), "'a.b' occurs twice")


# Other formats.


def test_other_formats_say_how_to_convert(tmp_path):
    path = tmp_path / "old.pth"
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + b"rest")
    refused(path, r"before version 1.6; convert it once .*torch\.save\(torch\.load\(")
    spaced = tmp_path / "an old.pth"
    spaced.write_bytes(path.read_bytes())
    refused(spaced, f"'{tmp_path.as_posix()}/an old.pth' '{tmp_path.as_posix()}/an old.pth.new'$")
    with tarfile.open(path, "w") as archive:
        archive.add(__file__)
    refused(path, "tar file.*torch.save")
    path.write_bytes(pickle.dumps({"a": [1]}))
    refused(path, "a bare pickle, which is never executed; convert")
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    refused(path, "git lfs pull")
    path.write_bytes(b"<!DOCTYPE html>")
    refused(path, "neither PyTorch's zip format nor .safetensors")
    path.write_bytes(b"")
    refused(path, "empty")


def test_non_files_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_tensors(tmp_path / "none.pth")
    os.mkfifo(tmp_path / "pipe.pth")
    refused(tmp_path / "pipe.pth", "not a file")
    with pytest.raises((SourceError, IsADirectoryError)):
        open_tensors(tmp_path)


def test_long_keys_are_shortened_in_messages(tmp_path):
    path = saved(tmp_path, {"k" * 9000: {}})
    with pytest.raises(SourceError) as caught:
        open_tensors(path, part="net")
    assert "expected weights under the key 'net'; the file holds kkk" in str(caught.value)
    assert len(str(caught.value)) < 400
