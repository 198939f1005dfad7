"""The damage matrix of the import command: one line, the exit code, and nothing half-written."""

import json
import os
import resource
import signal
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import published_set
import pytest
import support
from damage import Case, check, complaint, everything, rows, run_import
from torch_files import Call, Global

from importers.speech import Importer
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import runner

GPT, CODEC = "gpt.pth", "semantic_codec/model.safetensors"
Arrays = dict[str, Any]


def original(name: str) -> bytes:
    return (support.CHECKPOINTS / name).read_bytes()


def holding(name: str, data: bytes) -> Callable[[Path], None]:
    """Another content of a file."""

    def damage(src: Path) -> None:
        (src / name).unlink()
        (src / name).write_bytes(data)

    return damage


def arrays(change: Callable[[Arrays], object]) -> Callable[[Path], None]:
    """Other arrays in the GPT's file."""
    return lambda src: published_set.rewrite(src, GPT, change)


def setting(name: str, before: str, after: str) -> Callable[[Path], None]:
    """Another text in a file of settings."""
    data = original(name)
    assert before.encode() in data
    return holding(name, data.replace(before.encode(), after.encode(), 1))


def with_nan(held: Arrays) -> None:
    held["mel_head.bias"] = held["mel_head.bias"].copy()
    held["mel_head.bias"][5] = np.nan


def packed(src: Path) -> None:
    """A zip bomb: 64 MB of zeros in a few kilobytes."""
    bomb = {"a": np.zeros(2**24, np.float32)}
    published_set.replace(src, GPT, bomb, compression=zipfile.ZIP_DEFLATED)
    assert (src / GPT).stat().st_size < 2**17


def climbing(src: Path) -> None:
    data = original(GPT)
    with zipfile.ZipFile(support.CHECKPOINTS / GPT) as archive:
        name = archive.namelist()[-1]
    path = ("../" * 9)[: len(name) - 1] + "x"
    holding(GPT, data.replace(name.encode(), path.rjust(len(name), ".").encode()))(src)


def lying(change: Callable[[list[int]], list[int]]) -> Callable[[Path], None]:
    """A header of safetensors with other offsets of its first array."""

    def damage(src: Path) -> None:
        data = original(CODEC)
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + size])
        entry = header[min(header.keys() - {"__metadata__"})]
        entry["data_offsets"] = change(entry["data_offsets"])
        text = json.dumps(header).encode()
        holding(CODEC, struct.pack("<Q", len(text)) + text + data[8 + size :])(src)

    return damage


RUNS_CODE = Call(Global("posix", "system"), ("touch pwned",))
LAUGHS = "a: &a [1]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + inner] * 9)}]\n"
    for inner, name in zip("abcdefgh", "bcdefghi", strict=True)
)

REFUSED = [
    Case("truncated .pth", holding(GPT, original(GPT)[:-5000]), (GPT, "cut off", "3,731,993")),
    Case(
        "truncated .safetensors",
        holding(CODEC, original(CODEC)[:-5000]),
        (CODEC, "97,472", "is it cut off?"),
    ),
    Case("truncated settings", holding("config.yaml", original("config.yaml")[:800]),
         ("config.yaml", "missing key s2mel;")),
    Case("empty settings", holding("config.yaml", b""), ("config.yaml", "is empty")),
    Case("truncated tokenizer", holding("bpe.model", original("bpe.model")[:1000]),
         ("bpe.model", "not a SentencePiece model")),
    Case("empty tokenizer", holding("bpe.model", b""), ("bpe.model is empty",)),
    Case("empty settings of a model", holding("bigvgan/config.json", b""),
         ("bigvgan/config.json is empty",)),
    Case("settings of a model without keys", holding("w2v-bert-2.0/config.json", b"{}"),
         ("w2v-bert-2.0/config.json is empty",)),
    Case("a billion layers", setting("config.yaml", "layers: ", "layers: 1000000000 #"),
         ("the size layers is 1000000000: expected at most",)),
    Case("weights twice", lambda src: published_set.replace(
         src, GPT, {"a": published_set.arrays(GPT), "b": published_set.arrays(GPT)}),
         ("holds the weights more than once, under a. and b.",)),
    Case("empty file", holding(GPT, b""), (GPT, "the file is empty")),
    Case("an error page", holding(GPT, b"<!DOCTYPE html>"), (GPT, "begins with b'<!DOCTYP'")),
    Case("missing file", lambda src: (src / "s2mel.pth").unlink(),
         ("missing: s2mel.pth", "python -m indextts_jax.download")),
    Case("both spellings", lambda src: (src / "gpt.safetensors").write_bytes(b""),
         ("found twice",)),
    Case("missing tensor", arrays(lambda a: a.pop("mel_head.bias")),
         (GPT, "missing: mel_head.bias (for gpt.code_head.bias)")),
    Case("extra tensor", arrays(lambda a: a.update(x=np.ones(3, np.float32))),
         (GPT, "unexpected: x (3,)")),
    Case("wrong shape", arrays(lambda a: a.update({"mel_head.bias": np.ones(3, np.float32)})),
         (GPT, "shape of gpt.code_head.bias: checkpoint (3,)", "model (66,)")),
    Case("wrong dtype", arrays(lambda a: a.update({"mel_head.bias": np.ones(66, np.int64)})),
         (GPT, "dtype of mel_head.bias: checkpoint int64, expected floating point")),
    Case("NaN", arrays(with_nan), (GPT, "not finite: mel_head.bias")),
    Case("a pickle that would run code", arrays(lambda a: a.update(x=RUNS_CODE)),
         (GPT, "refused, 'x' is posix.system", "none of it was executed")),
    Case("an unknown class in a read part",
         arrays(lambda a: a.update(x=Call(Global("my", "Layer")))), (GPT, "'x' is my.Layer")),
    Case("zip bomb", packed, (GPT, "is compressed", "torch.save")),
    Case("a zip with a path that climbs", climbing, (GPT, "path has ..")),
    Case("offsets that overlap", lying(lambda span: [span[0] + 4, span[1] + 4]),
         (CODEC, "the safetensors header is wrong", "gap")),
    Case("offsets past the end", lying(lambda span: [10**9, 10**9 + span[1] - span[0]]),
         (CODEC, "the safetensors header is wrong", "it ends at byte 1,000")),
    Case("offsets that span another size", lying(lambda span: [span[0], span[1] + 4]),
         (CODEC, "96 bytes from shape and dtype, 100 from offsets")),
    Case("a typo at the top", lambda src: published_set.reconfigure(
        src, lambda data: data.update(verison=2.0)), ("config.yaml", "unknown key verison")),
    Case("a typo below", setting("config.yaml", "model_dim", "model_dmi"),
         ("config.yaml", "unknown key gpt.model_dmi; missing key gpt.model_dim")),
    Case("a tab", setting("config.yaml", "gpt:", "\tgpt:"), ("config.yaml", "not valid YAML")),
    Case("a setting ill-typed", setting("config.yaml", "layers: ", "layers: many #"),
         ("config.yaml", "gpt.layers", "many")),
    Case("a number beyond all others", setting("config.yaml", "fmin: ", f"fmin: 1{'0' * 400} #"),
         ("config.yaml", "fmin: a number too large")),
    Case("brackets without end", setting("config.yaml", "layers: ", f"layers: {'[' * 400} #"),
         ("config.yaml", "nested too deep")),
    Case("a billion laughs", holding("config.yaml", LAUGHS.encode()), ("config.yaml", "an alias")),
    Case("no source", lambda src: None, ("none does not exist",), ("--src=none",)),
    Case("an unknown component", lambda src: None, ("unknown bpe; expected some of",),
         ("--components=bpe",)),
]  # fmt: skip


@pytest.fixture
def src(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return published_set.linked(tmp_path / "src")


@rows(REFUSED)
def test_damage_is_refused_in_one_line(
    case: Case, src: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case.damage(src)
    before = everything(tmp_path)
    code = run_import("--src", src, "--dst", tmp_path / "a", *case.argv)
    check(case, code, complaint(capsys))
    assert everything(tmp_path) == before


def test_an_unknown_class_in_an_unread_part_is_passed_over(src: Path, tmp_path: Path) -> None:
    held = {"net": published_set.arrays("s2mel.pth"), "optimizer": RUNS_CODE}
    published_set.replace(src, "s2mel.pth", held | {"scheduler": Call(Global("my", "Steps"))})
    assert run_import("--src", src, "--dst", tmp_path / "a", "--components=dit") == 0
    assert sorted(os.listdir(tmp_path)) == ["a", "src"]


# Writing.

QUICK = ("--components=gpt,dit",)


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file may grow past a quarter of a megabyte; the system answers as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, before[1]))
    undo = monkeypatch.undo
    monkeypatch.undo = lambda: (resource.setrlimit(resource.RLIMIT_FSIZE, before), undo())[1]


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder can be made; permissions would not do, for root has them all."""

    def refuse(self: Path, *arguments: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)


def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1e6})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)


WRITING = [
    Case("full disk", full_disk, ("cannot write gpt in", "File too large"), code=runner.FAILURE),
    Case("a read-only --dst", read_only, ("cannot write to", "Permission denied")),
    Case("too little room", crowded, ("1.0 MB free; the checkpoint needs 3.8 MB",)),
]


@rows(WRITING)
def test_failed_write_is_reported_and_leaves_nothing(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        case.damage(patch)  # type: ignore[arg-type]
        try:
            code = run_import("--src", support.CHECKPOINTS, "--dst", tmp_path / "a", *QUICK)
        finally:
            patch.undo()
    check(case, code, complaint(capsys))
    assert everything(tmp_path) == []


def test_two_imports_to_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("--src", support.CHECKPOINTS, "--dst", tmp_path / "a", *QUICK)
    read, codes = Importer.read, []

    def read_while_another_comes(self: Importer, component: str, *rest: Any) -> Any:
        if not codes:
            capsys.readouterr()  # the bar of this import, on the screen of the other
            codes.append(run_import(*argv))
            assert f"another process is writing {tmp_path / 'a'}" in complaint(capsys)
        return read(self, component, *rest)

    monkeypatch.setattr(Importer, "read", read_while_another_comes)
    assert run_import(*argv) == 0
    assert codes == [runner.BAD_INPUT]
    assert os.listdir(tmp_path) == ["a"]
    assert open_checkpoint(tmp_path / "a").components == ("gpt", "dit")


# Signals, in a process of its own, when one component is written and the next is being read.

SLOW = """
import runpy, sys, time
import importers.speech

read = importers.speech.Importer.read

def slow(self, component, progress):
    if component == "dit":
        print("reading", flush=True)
        time.sleep(60)
    return read(self, component, progress)

importers.speech.Importer.read = slow
sys.argv = ["import", *sys.argv[1:]]
runpy.run_module("indextts_jax.import", run_name="__main__")
"""

SIGNALS = [
    Case("SIGTERM", lambda process: process.send_signal(signal.SIGTERM),
         ("error: terminated: nothing was left half-written",), code=130),
    Case("SIGINT", lambda process: process.send_signal(signal.SIGINT),
         ("error: interrupted: nothing was left half-written",), code=130),
    Case("SIGKILL", lambda process: process.kill(), (), code=-9),
]  # fmt: skip


@rows(SIGNALS, nightly={"SIGINT"})
def test_a_signal_in_mid_write_leaves_nothing_that_loads(case: Case, tmp_path: Path) -> None:
    options = ["--src", support.CHECKPOINTS, "--dst", tmp_path / "a", *QUICK]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    case.damage(process)  # type: ignore[arg-type]
    _, told = process.communicate(timeout=60)
    check(case, process.returncode, told)
    assert "Traceback" not in told
    if case.code == -9:
        assert sorted(os.listdir(tmp_path)) == [".a.lock", ".a.partial"]
        assert (tmp_path / ".a.partial" / "model" / "gpt").is_dir()
        assert run_import(*options) == 0  # the next one clears it away
        assert os.listdir(tmp_path) == ["a"]
    else:
        assert everything(tmp_path) == []
