"""Compiled programs stored between runs."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from indextts_jax.config import RunConfig, bundled_config
from indextts_jax.errors import InputError
from indextts_jax.runtime import executable_pack, executables
from indextts_jax.runtime.environment import environment
from indextts_jax.runtime.executables import ExecutableStore, Name, read_file
from indextts_jax.runtime.model import program_name
from indextts_jax.utils import disk_cache

DEVICE = jax.devices("cpu")[0]
NAME = Name("0123456789abcdef", "gpt", "double", "[]")
ARGUMENTS = (
    {"w": jnp.full((3, 3), 2.0, jnp.float32)},
    jnp.arange(6, dtype=jnp.float32).reshape(2, 3),
)


def double(params: dict[str, Any], x: jax.Array) -> dict[str, jax.Array]:
    return {"y": jnp.sin(x @ params["w"])}


def made(folder: Path, arguments: tuple[Any, ...] = ARGUMENTS) -> executables.Executable:
    """The program as a new process finds it."""
    return ExecutableStore(folder).get(NAME, jax.jit(double), arguments, DEVICE)


def file_of(folder: Path) -> Path:
    (path,) = folder.rglob("*.program")
    return path


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    made(tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def active(tmp_path: Path, nothing_kept: None) -> Iterator[ExecutableStore]:
    store = executables.activate(tmp_path / "active")
    assert store is not None
    yield store
    executables.activate(None)


def test_stored_program_is_not_retraced_and_bitwise_equal(tmp_path: Path) -> None:
    first, second = made(tmp_path), made(tmp_path)
    assert (first.kept, second.kept) == (False, True)
    for one, two in zip(first.call(*ARGUMENTS)["y"], second.call(*ARGUMENTS)["y"], strict=True):
        np.testing.assert_array_equal(one, two)


def test_stored_program_reports_memory_and_results(filled: Path) -> None:
    again = made(filled)
    assert again.record.memory is not None
    assert again.record.memory.arguments == 4 * (9 + 6)
    assert again.call.out_info["y"].shape == (2, 3)
    assert again.record.stage == "gpt double"


def test_program_in_the_jax_cache_is_recompiled(tmp_path: Path) -> None:
    """XLA for CPU would write it without its code."""
    option = "jax_persistent_cache_min_compile_time_secs"
    usual = getattr(jax.config, option)
    jax.config.update(option, 0.0)
    try:
        expected = jax.jit(double)(*ARGUMENTS)["y"]
        jax.clear_caches()  # as in the next process
        made(tmp_path)
    finally:
        jax.config.update(option, usual)
    again = made(tmp_path)
    assert again.kept
    np.testing.assert_array_equal(again.call(*ARGUMENTS)["y"], expected)


def test_other_shapes_are_another_program(filled: Path) -> None:
    other = made(filled, (ARGUMENTS[0], jnp.zeros((5, 3))))
    assert not other.kept
    assert len(list(filled.rglob("*.program"))) == 2


def test_shapes_alone_make_the_program_of_arrays(tmp_path: Path) -> None:
    place = jax.sharding.SingleDeviceSharding(DEVICE)
    shapes = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), ARGUMENTS
    )
    made(tmp_path, shapes)
    assert made(tmp_path).kept


@pytest.mark.parametrize("damage", ["cut", "flipped", "head"])
def test_damaged_program_is_reported_and_recompiled(filled: Path, damage: str) -> None:
    path = file_of(filled)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[-20:]
    elif damage == "flipped":
        content[-20] ^= 1
    else:
        content[:5] = b"?????"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="cannot be loaded and is compiled again"):
        assert not made(filled).kept
    assert made(filled).kept


def test_cached_value_is_computed_once(active: ExecutableStore) -> None:
    asked = []

    def make() -> list[int]:
        asked.append(1)
        return [7]

    assert disk_cache.remembered("a", {"k": 1}, make) == disk_cache.remembered("a", {"k": 1}, make)
    assert asked == [1]
    disk_cache.remembered("a", {"k": 2}, make)
    assert asked == [1, 1]


def test_program_name_omits_unrelated_optional_components() -> None:
    """A checkpoint that gets the text-emotion model later has its programs still."""
    plain = bundled_config("tiny")
    assert plain.text_emotion is not None
    other = dataclasses.replace(plain.text_emotion, stops=(399,))
    vocoder, reply = set(), set()
    for section in (plain.text_emotion, other, None):
        config = dataclasses.replace(plain, text_emotion=section)
        model = cast(Any, SimpleNamespace(config=config, run=RunConfig()))
        vocoder.add(program_name(model, "vocoder", "__call__", {}))
        if section is not None:
            reply.add(program_name(model, "text_emotion", "__call__", {}))
    assert len(vocoder) == 1
    assert len(reply) == 2


def test_arrays_on_several_devices_have_no_single_device() -> None:
    assert executables.single_device(ARGUMENTS) == DEVICE
    assert executables.single_device([np.zeros(2)]) is None


def test_a_pack_is_taken_in_and_used(filled: Path, tmp_path: Path) -> None:
    sent = executable_pack.pack(ExecutableStore(filled), DEVICE, tmp_path / "cache.zip")
    other = tmp_path / "other"
    came = executable_pack.unpack(
        ExecutableStore(other), DEVICE, tmp_path / "cache.zip", NAME.config
    )
    assert (sent.programs, came.programs, came.sha256) == (1, 1, sent.sha256)
    assert made(other).kept


def test_nothing_to_pack_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no programs for this device"):
        executable_pack.pack(ExecutableStore(tmp_path), DEVICE, tmp_path / "cache.zip")
    assert not (tmp_path / "cache.zip").exists()


def rewritten(filled: Path, target: Path, change: Any) -> Path:
    """A pack whose entries and manifest were changed."""
    import zipfile

    executable_pack.pack(ExecutableStore(filled), DEVICE, target)
    with zipfile.ZipFile(target) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(entries.pop(executable_pack.MANIFEST))
    change(manifest, entries)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(executable_pack.MANIFEST, json.dumps(manifest))
        for name, content in entries.items():
            archive.writestr(name, content)
    return target


def _other_jax(manifest: Any, entries: Any) -> None:
    manifest["environment"]["jax"] = "0.0.1"


def _other_device(manifest: Any, entries: Any) -> None:
    manifest["environment"]["device"] = "NVIDIA Abacus"


def _escape(manifest: Any, entries: Any) -> None:
    entries["programs/../../../evil.program"] = entries.pop(next(iter(entries)))


def _damage(manifest: Any, entries: Any) -> None:
    name = next(iter(entries))
    entries[name] = b"x" * len(entries[name])


def _lack(manifest: Any, entries: Any) -> None:
    entries.clear()


def _newer(manifest: Any, entries: Any) -> None:
    manifest["format"] = 99


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_other_jax, f"made in another environment: jax '0.0.1', here '{jax.__version__}'"),
        (_other_device, "device 'NVIDIA Abacus', here 'cpu'"),
        (_escape, "evil.program', which is not a program file"),
        (_damage, "is damaged: the SHA-256 of programs/"),
        (_lack, "has no programs .* it has those of none"),
        (_newer, f"it has format 99, expected {executable_pack.FORMAT}"),
    ],
)
def test_a_pack_that_does_not_fit_is_refused_whole(
    filled: Path, tmp_path: Path, change: Any, told: str
) -> None:
    path = rewritten(filled, tmp_path / "cache.zip", change)
    with pytest.raises(InputError, match=told):
        executable_pack.unpack(ExecutableStore(tmp_path / "other"), DEVICE, path)
    assert not (tmp_path / "other").exists()
    assert not list(tmp_path.rglob("evil*"))


def test_a_pack_that_was_damaged_on_its_way_is_refused(filled: Path, tmp_path: Path) -> None:
    path = tmp_path / "cache.zip"
    executable_pack.pack(ExecutableStore(filled), DEVICE, path)
    sound = path.read_bytes()
    directory = range(len(sound) - 100, len(sound))  # with the places of the files
    for place in [*range(0, len(sound), len(sound) // 40), *directory]:
        damaged = bytearray(sound)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):  # a byte that means nothing, such as a date
            executable_pack.unpack(ExecutableStore(tmp_path / "other"), DEVICE, path)
            kept = {file.read_bytes() for file in (tmp_path / "other").rglob("*.program")}
            assert kept == {file_of(filled).read_bytes()}
    path.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(InputError, match="is not a pack"):
        executable_pack.unpack(ExecutableStore(tmp_path / "other"), DEVICE, path)


def test_a_pack_of_another_configuration_is_refused_by_name(filled: Path, tmp_path: Path) -> None:
    executable_pack.pack(ExecutableStore(filled), DEVICE, tmp_path / "cache.zip")
    with pytest.raises(InputError, match=f"has those of {NAME.config}|it has those of"):
        executable_pack.unpack(
            ExecutableStore(tmp_path / "o"), DEVICE, tmp_path / "cache.zip", "f" * 16
        )


def test_non_pack_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "cache.zip").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is not a pack of compiled programs"):
        executable_pack.unpack(ExecutableStore(tmp_path / "o"), DEVICE, tmp_path / "cache.zip")


def test_record_is_read_without_running_the_program(filled: Path) -> None:
    record, body = read_file(file_of(filled))
    assert record.component == "gpt"
    assert len(body) > 100


def test_an_environment_names_all_its_differences() -> None:
    here = environment(DEVICE)
    there = dataclasses.replace(here, jaxlib="9", options="--xla")
    assert here.differences(here) == []
    assert [words.split()[0] for words in here.differences(there)] == ["jaxlib", "options"]
    assert here.key != there.key
