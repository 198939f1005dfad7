"""The check on a GPU: its clock, its child processes, its refusals, and parts of it on a CPU."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import support

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "benchmarks")]

import golden_copies  # noqa: E402
import gpu_check  # noqa: E402
import roofline  # noqa: E402
from gpu import correctness, parts, schedule, speed, step_profile, worker  # noqa: E402
from gpu.options import Options  # noqa: E402
from gpu.outcomes import DoesNotApply  # noqa: E402
from gpu.parts import Part  # noqa: E402
from gpu.schedule import Budget, Child  # noqa: E402

from importers.library import import_checkpoint  # noqa: E402
from indextts_jax.validation.loading import OneByOne  # noqa: E402


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Actor:
    """A child that takes the seconds that its parts name, and fails as they say."""

    def __init__(self, clock: Hand):
        self.clock, self.ended = clock, False

    def ask(self, part: Part, seconds: float) -> dict[str, Any]:
        takes = float(part.arguments[0])
        self.clock.now += min(takes, seconds)
        if takes > seconds:
            raise TimeoutError(f"no answer within {seconds:.0f} s")
        if part.function == "crash":
            raise ChildProcessError("the process ended with -11")
        return {"status": part.function, "result": {}}

    def end(self) -> None:
        self.ended = True


def played(seconds: float, *plays: Part) -> tuple[list[dict[str, Any]], list[Actor]]:
    """The outcomes of parts within a budget, and the children that it took."""
    clock, actors, told = Hand(), [], []

    def start(lane: str) -> Any:
        actors.append(Actor(clock))
        return actors[-1]

    schedule.run_lane("lane", plays, Budget(seconds, clock), start, told.append)
    return told, actors


def test_a_part_begins_only_if_its_time_is_left() -> None:
    told, _ = played(
        100,
        Part("first", "done", (70,), 50),
        Part("long", "done", (1,), 40),
        Part("short", "done", (1,), 20),
    )
    assert [one["status"] for one in told] == ["done", "not reached", "done"]
    assert told[1]["error"] == "needs about 40 s, 30 s were left"


def test_a_part_that_is_cut_off_by_the_end_of_all_time_was_not_reached() -> None:
    told, _ = played(100, Part("one", "done", (500,), 50), Part("two", "done", (1,), 1))
    assert [one["status"] for one in told] == ["not reached", "not reached"]


def test_a_crash_and_a_hang_lose_one_part_each() -> None:
    told, actors = played(
        10_000,
        Part("crashes", "crash", (1,), 1),
        Part("hangs", "done", (5_000,), 10),
        Part("fails", "failed", (1,), 1),
        Part("works", "done", (1,), 1),
    )
    assert [one["status"] for one in told] == ["failed", "failed", "failed", "done"]
    assert told[0]["error"] == "the process ended with -11"
    assert told[1]["error"] == "no answer within 150 s"
    assert len(actors) == 3  # one more after the crash, one more after the hang
    assert actors[-1].ended


def test_a_share_ends_with_the_whole() -> None:
    clock = Hand()
    whole = Budget(100, clock)
    share = Budget(40, clock, whole)
    assert (share.left, Budget(400, clock, whole).left) == (40, 100)
    whole.stop()
    assert share.left == 0


def test_a_child_that_is_ended_because_of_an_interrupt_has_not_failed() -> None:
    budget, told = Budget(100, Hand()), []

    class Interrupted(Actor):
        def ask(self, part: Part, seconds: float) -> dict[str, Any]:
            budget.stop()
            raise ChildProcessError("the process ended with -9")

    plays = [Part("first", "done", (1,), 1), Part("second", "done", (1,), 1)]
    schedule.run_lane("lane", plays, budget, lambda lane: Interrupted(Hand()), told.append)
    assert [(one["status"], one["error"]) for one in told] == [
        ("not reached", "interrupted"),
        ("not reached", "needs about 1 s, 0 s were left"),
    ]


CHILD = """
import os, sys, json, time
for line in sys.stdin:
    function = json.loads(line)["function"]
    if function == "crash":
        sys.stderr.write("it went wrong"); sys.stderr.flush(); os._exit(7)
    if function == "hang":
        time.sleep(60)
    print(json.dumps({"status": function}), flush=True)
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[[str], Child]:
    command = [sys.executable, "-S", "-c", CHILD]
    return lambda lane: Child(command, tmp_path / f"{lane}.log", dict(os.environ))


def test_dead_and_hanging_children_are_distinguished(start: Callable[[str], Child]) -> None:
    child = start("one")
    assert child.ask(Part("", "done"), 20) == {"status": "done"}
    with pytest.raises(ChildProcessError, match="ended with 7; its log ends: it went wrong"):
        child.ask(Part("", "crash"), 20)
    with pytest.raises(TimeoutError, match="no answer within 0 s"):
        start("two").ask(Part("", "hang"), 0.2)


def test_lanes_run_side_by_side(start: Callable[[str], Child]) -> None:
    told: list[dict[str, Any]] = []
    lanes = [[Part(f"{n}", "done")] for n in range(3)]
    schedule.run_side_by_side(lanes, Budget(20), start, told.append, 3)
    assert {one["part"] for one in told} == {"0", "1", "2"}


def test_an_error_is_an_outcome() -> None:
    def refuse() -> dict[str, Any]:
        raise DoesNotApply("no kernels here")

    table: dict[str, worker.Function] = {"refuse": refuse, "divide": lambda: {"number": 1 / 0}}
    ask = {"arguments": []}
    assert worker.answer(table, ask | {"function": "refuse"})["status"] == "does not apply"
    failed = worker.answer(table, ask | {"function": "divide"})
    assert failed == {"status": "failed", "error": "ZeroDivisionError: division by zero"}


def test_every_part_is_of_a_function_that_there_is(tmp_path: Path) -> None:
    table = worker.functions(Options(output=str(tmp_path)))
    every = [parts.device_part(), *itertools.chain(*parts.validations()), *parts.speeds((8, 32))]
    assert {part.function for part in every} == table.keys()
    assert len({part.name for part in every}) == len(every)


def test_a_cpu_does_not_take_the_place_of_a_gpu(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "tools/gpu_check.py", "--output", str(tmp_path)],
        cwd=ROOT,
        env=dict(os.environ, JAX_PLATFORMS="cpu"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    error = done.stderr.splitlines()[-1]
    assert "device cuda: there is no such device" in error
    assert f"jaxlib {metadata.version('jaxlib')}" in error
    report = json.loads((tmp_path / "result.json").read_text())
    assert [(one["part"], one["status"]) for one in report["parts"]] == [("device", "failed")]


class Here:
    """A child that is this process."""

    def __init__(self, options: Options):
        self.table = worker.functions(options)

    def ask(self, part: Part, seconds: float) -> dict[str, Any]:
        return worker.answer(
            self.table, {"function": part.function, "arguments": list(part.arguments)}
        )

    def end(self) -> None:
        pass


def test_a_run_on_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The device, comparisons, one that needs a GPU, and a file that is damaged."""
    monkeypatch.setattr(gpu_check, "starter", lambda options: lambda lane: Here(options))
    checkpoint = tmp_path / "checkpoint"  # of what is compared alone: the whole takes longer
    import_checkpoint(support.CHECKPOINTS, checkpoint, components=["semantic_codec"])
    monkeypatch.setattr(correctness, "imported", lambda golden: OneByOne(checkpoint))
    altered = golden_copies.copied(tmp_path, ["codec"])
    monkeypatch.setitem(correctness.SETS, "second", altered)
    with np.load(altered / "tensors" / "codec.npz") as arrays:
        golden_copies.altered(altered, "codec", quantized=arrays["quantized"] + 1)
    wanted = ["--only", "plain codec", "tiny fused cfm"]
    flags = ["--platform", "cpu", "--config", "tiny", "--output", str(tmp_path), *wanted]
    assert gpu_check.main([*flags, "--processes", "1"]) == 1  # for the damaged file
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report == json.loads((tmp_path / "result.json").read_text())
    assert {one["part"]: one["status"] for one in report["parts"]} == {
        "device": "done",
        "validate tiny plain codec": "done",
        "validate second plain codec": "failed",
        "validate tiny fused cfm": "does not apply",
    }
    assert {"kind", "date", "machine", "device", "versions", "commit"} <= report.keys()
    assert report["device"] == "CPU"


def test_insufficient_time_is_reported_by_part(tmp_path: Path) -> None:
    args = gpu_check.arguments(["--minutes", "0.01", "--output", str(tmp_path)])
    report = gpu_check.check(args, gpu_check.Session(args))
    assert [one["status"] for one in report["parts"]] == ["not reached"]


def test_bad_input_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    for flags, complaint in (
        (["--minutes", "-1"], "--minutes must be positive, got -1.0"),
        (["--only", "codec", "sppeed"], "no part has 'sppeed' in its name"),
    ):
        with pytest.raises(SystemExit) as ended:
            gpu_check.main(flags)
        assert ended.value.code == 2
        assert complaint in capsys.readouterr().err


def test_the_parts_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["--list", "--only", "vocoder", "tiny fused cfm"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "    5 s  device",
        "   12 s  validate tiny fused cfm (beside others)",
        "   60 s  vocoder bfloat16 plain (measurements so far: 60 s)",
        "   60 s  vocoder float32 plain (measurements so far: 120 s)",
        "   60 s  vocoder float16 plain (measurements so far: 180 s)",
    ]


def test_an_interrupt_ends_the_children_and_tells_what_is_known(tmp_path: Path) -> None:
    command = [sys.executable, "tools/gpu_check.py", "--output", str(tmp_path)]
    environment = dict(os.environ, PYTHONSTARTUP="", PYTHONPATH=str(tmp_path))
    (tmp_path / "jax.py").write_text("import time; time.sleep(100)")  # a child that hangs
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "device.log").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)  # the child is there; the part is asked for
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=30)
    report = json.loads(printed.splitlines()[-1])
    assert report["interrupted"] == "SIGTERM"
    assert [one["error"] for one in report["parts"]] == ["interrupted"]


def test_codes_are_timed_and_profiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peak = roofline.Peak(flops=1e10, bandwidth=1e10)
    monkeypatch.setattr(roofline, "measure", lambda dtype: peak)
    monkeypatch.setattr(speed, "SPEAKING", ("gpt",))
    options = Options(platform="cpu", config="tiny", output=str(tmp_path), repeats=2)
    times = speed.Speed(options)
    found = times.stage("codes", "float32", "plain")
    assert 0 < found["floor"] < found["median"] < found["first"]
    assert found["seconds_per_code"] == pytest.approx(found["median"] / options.codes)
    assert found["memory"]["process"] > 10**8
    step = times.profile("float32", "plain")
    assert step["steps"] == options.codes
    assert step["kernels_per_step"] > 10
    assert step["top"][0]["us_per_step"] > 0


def test_only_what_runs_at_every_step_is_of_the_step() -> None:
    events = [step_profile.Event("prefill", 0, 500)]
    for n in range(4):
        events.append(step_profile.Event("dot", 1000 * n + 1000, 400))
        events += [step_profile.Event("add", 1000 * n + 1500 + 100 * k, 50) for k in range(2)]
    found = step_profile.summary(events, 4)
    assert found["kernels_per_step"] == 3
    assert found["busy_us_per_step"] == pytest.approx(0.5)
    assert found["span_us_per_step"] == pytest.approx(3.65 / 4)
    assert found["outside_us"] == pytest.approx(0.5)
    assert [one["name"] for one in found["top"]] == ["dot", "add"]
