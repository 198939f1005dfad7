"""The benchmark of this program: what is asked for, what is counted, and a run of it."""

import json

import pytest

from benchmarks import measurements, roofline, run
from benchmarks.roofline import Peak
from indextts_jax.config import RunConfig, bundled_config

PUBLISHED = bundled_config("indextts2")


def _request(**more) -> measurements.Request:
    settings = {"characters": 28, "text": "", "prompt": 5.0, "steps": 25, "beams": 3}
    return measurements.Request(**{**settings, **more})


def test_batches_use_first_prompt_only():
    args = run.arguments(["--random", "tiny", "--texts", "7,16", "--batch", "1,4,16"])
    first, second = (run.requests(args, prompt) for prompt in args.prompts)
    assert [(one.characters, one.rows) for one in first] == [(7, 1), (16, 1), (80, 4), (80, 16)]
    assert [(one.characters, one.rows) for one in second] == [(7, 1), (16, 1)]


def test_text_length_sets_number_of_codes():
    assert _request().settings.max_codes == 100
    assert _request(codes=7).settings.max_codes == 7


@pytest.fixture
def no_weights(monkeypatch):
    monkeypatch.setattr(roofline, "parameters", lambda config, component: 0)


@pytest.mark.usefixtures("no_weights")
def test_floors_sum_over_steps():
    """At a bandwidth without end, the time of all multiply-adds."""
    peaks = {"float32": Peak(flops=1e9, bandwidth=float("inf"))}
    least = measurements.floors(PUBLISHED, RunConfig(), _request(prompt=10.0), 60, 500, peaks)
    flow = roofline.velocity(PUBLISHED, 861 + 860, 4).flops * 25
    assert least["flow"] == pytest.approx(
        (flow + roofline.regulator(PUBLISHED, 500, 860, 4).flops) / 1e9
    )
    assert least["vocoder"] == pytest.approx(2 * 916_604_928 * 860 / 1e9)
    assert set(least) == {"codes", "latents", "flow", "vocoder"}


@pytest.mark.usefixtures("no_weights")
def test_batch_adds_work_and_no_weights():
    peaks = {"float32": Peak(flops=1e15, bandwidth=1e9)}
    one = measurements.floors(PUBLISHED, RunConfig(), _request(), 10, 100, peaks)["codes"]
    many = measurements.floors(PUBLISHED, RunConfig(), _request(rows=16), 10, 100, peaks)["codes"]
    assert one < many < 2 * one


def test_bad_input_is_one_line(capsys):
    assert run.main(["--random", "tiny", "--texts", "9"]) == 2
    assert capsys.readouterr().err.startswith("error: --texts: there are 7, 16")


@pytest.mark.nightly
def test_quick_run_of_tiny_sizes(tmp_path, capsys):
    path = tmp_path / "run.json"
    assert run.main(["--random", "tiny", "--quick", "--steps", "2", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == found
    assert [(row["what"], row.get("batch")) for row in found["rows"]] == [
        ("voice", None),
        ("whole", 1),
        ("whole", 4),
    ]
    for row in found["rows"]:
        assert set(row["floors"]) <= set(row["stages"])
    for row in found["rows"][1:]:
        assert row["codes"] == row["batch"] * 57
        assert row["bytes_per_second"] > 0
