"""Adapters on disk: what is written is read; what is damaged or does not fit is named."""

import json
import shutil

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from indextts_jax.checkpoint import adapter as adapters
from indextts_jax.checkpoint.adapter import read_adapter, write_adapter
from indextts_jax.checkpoint.provenance import ComponentRecord, Provenance
from indextts_jax.errors import InputError
from indextts_jax.utils.hashing import FileHash

RNG = np.random.default_rng(0)
SOURCES = (FileHash(name="gpt.pth", size=1, sha256="0" * 64),)


def base(sources=SOURCES):
    parts = [
        ComponentRecord(name=name, parameters=1, bytes=4, files=(), digest=name[0] * 64)
        for name in ("gpt", "dit", "vocoder")
    ]
    return Provenance(
        format=2,
        created="",
        dtype="float32",
        sources=sources,
        ignored=(),
        versions=(),
        files=(),
        components=tuple(parts),
    )


def pair(*stack, inputs=5, outputs=7, rank=2):
    down, up = (*stack, inputs, rank), (*stack, rank, outputs)
    return {"down": RNG.normal(size=down).astype("f"), "up": RNG.normal(size=up).astype("f")}


def trees():
    qkv = {"blocks": {"attention": {"qkv": {"kernel": pair(3)}}}}
    return {"gpt": qkv, "dit": {"skips": {0: {"kernel": pair()}}}}


@pytest.fixture
def written(tmp_path):
    write_adapter(tmp_path / "anna", trees(), alpha=8.0, base=base(), recipe="gpt_lora")
    return tmp_path / "anna"


def test_write_then_read_is_the_identity(tmp_path):
    given = trees()
    record = write_adapter(tmp_path / "anna", given, alpha=8.0, base=base(), recipe="gpt_lora")
    found = read_adapter(tmp_path / "anna")
    assert found.record == record
    assert found.scale == 4.0
    assert record.paths == ("dit.skips.0.kernel", "gpt.blocks.attention.qkv.kernel")
    assert {part.name: part.digest[0] for part in record.base} == {"gpt": "g", "dit": "d"}
    for name in ("down", "up"):
        np.testing.assert_array_equal(
            found.trees["dit"]["skips"][0]["kernel"][name],
            given["dit"]["skips"][0]["kernel"][name],
        )


def test_factors_may_be_stored_in_half_precision(tmp_path):
    given = trees()
    write_adapter(tmp_path / "anna", given, alpha=8.0, base=base(), dtype="bfloat16")
    down = read_adapter(tmp_path / "anna").trees["dit"]["skips"][0]["kernel"]["down"]
    expected = given["dit"]["skips"][0]["kernel"]["down"].astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(down, expected)


def test_the_licence_of_published_weights_goes_with_it(tmp_path):
    record = write_adapter(tmp_path / "a", trees(), alpha=1.0, base=base())
    assert "bilibili Model Use License" in record.licence
    own = write_adapter(tmp_path / "b", trees(), alpha=1.0, base=base(sources=()))
    assert own.licence == ""


def test_an_adapter_is_replaced_with_force_alone(written):
    with pytest.raises(InputError, match="exists already"):
        write_adapter(written, trees(), alpha=1.0, base=base())
    write_adapter(written, trees(), alpha=1.0, base=base(), force=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tree: tree.update(vocoder={"kernel": pair()}),
            "vocoder.kernel is not a kernel",
        ),
        (
            lambda tree: tree["dit"]["skips"][0]["kernel"].pop("up"),
            "dit.skips.0.kernel does not have both down and up",
        ),
        (
            lambda tree: tree["dit"]["skips"].update({0: {"kernel": pair(rank=3)}}),
            "several ranks: 2, 3",
        ),
        (
            lambda tree: tree["dit"]["skips"][0]["kernel"].update(up=np.zeros((3, 7), "f")),
            r"down \(5, 2\) does not fit up \(3, 7\)",
        ),
        (lambda tree: tree.clear(), "no kernels are changed"),
    ],
)
def test_factors_that_do_not_fit_are_refused(tmp_path, change, message):
    given = trees()
    change(given)
    with pytest.raises(InputError, match=message):
        write_adapter(tmp_path / "anna", given, alpha=1.0, base=base())
    assert not (tmp_path / "anna").exists()


def rewrite(folder, change):
    path = folder / adapters.RECORD
    data = json.loads(path.read_text())
    change(data)
    data["record"] = ""  # its hash would be found to differ first
    path.write_text(json.dumps(data))


def other_numbers(folder):
    path = folder / adapters.ARRAYS
    arrays = {name: array + 1 for name, array in safetensors.numpy.load_file(path).items()}
    safetensors.numpy.save_file(arrays, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "does not exist"),
        (lambda folder: (folder / adapters.ARRAYS).unlink(), "is not an adapter"),
        (lambda folder: (folder / adapters.RECORD).write_text("{"), "is damaged"),
        (lambda folder: (folder / adapters.ARRAYS).write_bytes(b"x" * 99), "is damaged"),
        (other_numbers, "expected arrays with SHA-256"),
        (lambda folder: rewrite(folder, lambda data: data.pop("alpha")), "missing key alpha"),
        (lambda folder: rewrite(folder, lambda data: data.update(rank=0)), "rank 0"),
        (lambda folder: rewrite(folder, lambda data: data.update(format=9)), "adapter of format 9"),
        (lambda folder: rewrite(folder, lambda data: data["paths"].pop()), "names other kernels"),
    ],
)
def test_damage_is_named(written, damage, message):
    damage(written)
    with pytest.raises(InputError, match=message):
        read_adapter(written)
