import json
from pathlib import Path

import pytest

from indextts_jax.errors import Failure, InputError
from indextts_jax.training.from_scratch import commands
from indextts_jax.training.from_scratch.commands import Plan
from indextts_jax.training.from_scratch.description import bundled_builds, load_build, parse_build
from indextts_jax.training.from_scratch.run import run_build
from indextts_jax.training.loop.stop import Deadline
from indextts_jax.training.recipe import bundled

BUILD = """
model: tiny
tokenizer: char
pieces: 40
dtype: float16
neutral: {of: speech, clips: 2}
stages:
  - {name: a, recipe: mini/tokens, data: {of: [speech, more], recipes: [tokens]}}
  - {name: b, recipe: mini/style, data: {of: [speech], recipes: [style]}, bars: {error: 0.5}}
  - {name: c, recipe: mini/vocoder, data: {of: [speech], recipes: [style]}, changes: {seed: 3}}
"""
MANIFESTS = {"speech": "s.jsonl", "more": "m.jsonl"}


class Commands:
    """Stands for the commands: each leaves behind what its kind leaves, or fails."""

    def __init__(self, plan: Plan, monkeypatch: pytest.MonkeyPatch, error: float = 0.1):
        self.plan, self.error, self.calls = plan, error, []
        self.codes: dict[str, int] = {}
        self.unfinished: set[str] = set()
        self.trained: set[str] = set()
        self.exported: set[str] = set()
        self.begun: set[str] = set()
        monkeypatch.setattr(Plan, "is_done", lambda plan, stage: stage.name in self.exported)
        monkeypatch.setattr(Plan, "is_trained", lambda plan, stage: stage.name in self.trained)
        monkeypatch.setattr(commands.folders, "is_run", lambda folder: folder.name in self.begun)

    def __call__(self, name: str, words: list[str]) -> int:
        values = dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)
        stage = Path(values.get("run", values["dst"])).name
        self.calls.append((name, stage))
        if name == "prepare":
            Path(values["dst"]).mkdir(parents=True, exist_ok=True)
        if name == "train":
            self.begun.add(stage)
            if stage not in self.unfinished:
                self.trained.add(stage)
            folder = Path(values["dst"])
            folder.mkdir(parents=True, exist_ok=True)
            line = {"kind": "evaluation", "step": 0, "error": self.error}
            (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
            best = {"best": 0, "base": None, "scores": [{"step": 0, "value": 1.0}]}
            (folder / "best.json").write_text(json.dumps(best))
        if name == "export":
            self.exported.add(stage)
        return self.codes.get(name, 0)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    speech = tmp_path / "s.jsonl"
    lines = [json.dumps({"audio": f"{n}.wav", "text": "a", "speaker": "b"}) for n in range(3)]
    speech.write_text("\n".join(lines))
    return Plan(parse_build(BUILD, "test"), tmp_path, {**MANIFESTS, "speech": str(speech)})


def run(plan: Plan, call: Commands, **options):
    return run_build(plan, call, deadline=Deadline(None), **options)


def test_bundled_builds_name_bundled_recipes():
    for name in bundled_builds():
        build = load_build(name)
        assert {stage.recipe for stage in build.stages} <= set(bundled())


def test_each_stage_is_prepared_trained_and_exported_in_order(plan, monkeypatch):
    call = Commands(plan, monkeypatch)
    ended = run(plan, call)
    assert ended == (("a", "b", "c"), 0, None)
    assert [stage for name, stage in call.calls if name == "train"] == ["a", "b", "c"]
    assert [name for name, _ in call.calls] == ["prepare", "train", "export"] * 3 + ["prepare"]


def test_finished_model_has_one_prototype_per_emotion(plan):
    assert f"--checkpoint={plan.model_after(plan.build.stages[-1])}" in plan.finish()
    rows = (plan.dst / commands.LABELS).read_text().splitlines()
    assert rows[:3] == [
        "audio,emotion,speaker",
        f"{plan.dst / '0.wav'},happy,all",
        f"{plan.dst / '1.wav'},happy,all",
    ]
    assert len(rows) == 1 + 8 * 2


def test_finished_stages_are_skipped(plan, monkeypatch):
    call = Commands(plan, monkeypatch)
    call.exported.add("a")
    run(plan, call)
    assert [stage for name, stage in call.calls if name == "train"] == ["b", "c"]


def test_a_run_that_was_begun_goes_on_without_preparing(plan, monkeypatch):
    call = Commands(plan, monkeypatch)
    call.begun.add("a")
    plan.data_of(plan.build.stages[0]).mkdir(parents=True)
    run(plan, call)
    assert call.calls[0] == ("train", "a")
    assert "--resume" in plan.train(plan.build.stages[0], None)


def test_a_stage_that_ran_out_of_time_ends_the_build_with_0(plan, monkeypatch):
    call = Commands(plan, monkeypatch)
    call.unfinished.add("b")
    assert run(plan, call) == (("a",), 0, "b")


@pytest.mark.parametrize("command", ["prepare", "train", "export"])
def test_a_command_that_fails_ends_the_build_with_its_code(plan, monkeypatch, command):
    call = Commands(plan, monkeypatch)
    call.codes[command] = 7
    assert run(plan, call) == ((), 7, "a")


def test_a_figure_above_its_bar_ends_the_build(plan, monkeypatch):
    with pytest.raises(Failure, match=r"b, step 0: error is 0.6, expected at most 0.5"):
        run(plan, Commands(plan, monkeypatch, error=0.6))
    assert run(plan, Commands(plan, monkeypatch, error=0.6), ignore_bars=True).stopped is None


def test_later_stages_begin_with_the_model_before_them(plan):
    first, second, _ = plan.build.stages
    assert "--config=tiny" in plan.prepare(first)
    assert not any(word.startswith("--checkpoint") for word in plan.train(first, None))
    before = f"--checkpoint={plan.model_after(first)}"
    assert before in plan.prepare(second)
    assert before in plan.train(second, None)


def test_stages_with_the_same_data_share_it(plan):
    _, second, third = plan.build.stages
    assert plan.data_of(second) == plan.data_of(third)


def test_weights_of_a_stage_multiply_those_that_are_given(plan):
    build = BUILD.replace("recipes: [tokens]}", "recipes: [tokens], weights: {more: 0.5}}")
    weighted = Plan(parse_build(build, "test"), plan.dst, {**MANIFESTS, "more": "m.jsonl@0.1"})
    first = weighted.build.stages[0]
    assert weighted.prepare(first)[:2] == ["--manifest=s.jsonl", "--manifest=m.jsonl@0.05"]
    assert weighted.data_of(first) != plan.data_of(plan.build.stages[0])


def test_time_changes_and_scale_reach_the_trainer(plan):
    half = Plan(plan.build, plan.dst, MANIFESTS, 0.5)
    words = half.train(plan.build.stages[2], 90.4)
    assert {"--set=seed=3", "--set=steps=6000", "--stop_after=90s"} <= set(words)
    assert "--set=epochs=25.0" in half.train(plan.build.stages[0], None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("name: b", "expected different names"),
        ("pieces: 40", "missing key pieces"),
        ("bars: {error: 0.5}", "unknown key stages"),
        ("recipes: [tokens]", "weights.less: expected one of speech, more"),
        ("recipes: [tokens]}", r"weights.more: expected a number in \(0, 1\], got 2"),
    ],
)
def test_a_description_that_cannot_be_is_refused(change, message):
    worse = {
        "name: b": "name: a",
        "pieces: 40": "",
        "bars: {error: 0.5}": "bar: 2",
        "recipes: [tokens]": "recipes: [tokens], weights: {less: 1}",
        "recipes: [tokens]}": "recipes: [tokens], weights: {more: 2}}",
    }[change]
    with pytest.raises(InputError, match=message):
        parse_build(BUILD.replace(change, worse), "test")
