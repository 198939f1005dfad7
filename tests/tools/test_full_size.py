"""The tools for the full size, on small sizes and on the published names."""

import collections
import functools
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import support
import yaml

pytest.importorskip("torch")
pytest.importorskip("transformers")

TOOLS = Path(__file__).parents[2] / "tools"
sys.path.append(str(TOOLS))

import compare_full_size  # noqa: E402
import make_full_size  # noqa: E402
from full_size import files, manifest, ours, rules, settings  # noqa: E402
from full_size.manifest import Spec  # noqa: E402

from importers.formats.tensors import open_tensors  # noqa: E402
from importers.release.files import FILES  # noqa: E402
from importers.speech import Importer  # noqa: E402
from indextts_jax.config import bundled_config  # noqa: E402
from indextts_jax.errors import InputError  # noqa: E402
from indextts_jax.models.components import COMPONENTS  # noqa: E402
from indextts_jax.runtime.model import Model  # noqa: E402
from indextts_jax.text.tokenizer import Tokenizer  # noqa: E402
from indextts_jax.validation.compare import Comparison  # noqa: E402

SMALL = 5000  # numbers of an array that is drawn here


def published() -> dict[str, files.Nested]:
    return files.read_manifests(support.MANIFESTS)


def tiny() -> dict[str, files.Nested]:
    """The manifests of the tiny set's files."""
    located = Importer.open(support.CHECKPOINTS).located
    nested: dict[str, files.Nested] = {}
    for file in ("gpt", "s2mel", "w2v_bert", "semantic_codec", "campplus", "bigvgan"):
        tensors = open_tensors(located.files[file], part=FILES[file].part, optional=True)
        specs = {name: Spec(tuple(t.shape), t.dtype.name) for name, t in tensors.items()}
        nested[file] = {"generator": specs} if file == "bigvgan" else specs
    parts = collections.defaultdict(dict)
    for name, spec in nested["s2mel"].items():
        part, _, rest = name.partition(".")
        parts[part][rest] = spec
    return {**nested, "s2mel": dict(parts)}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("full") / "tiny"
    make_full_size.write(target, tiny(), support.tiny_config(), seed=3)
    return target


@functools.cache
def drawn() -> list[tuple[str, str, np.ndarray]]:
    """The published arrays that are small: file, name and values."""
    return [
        (file, name, rules.value(file, name, spec, 0))
        for file, nested in published().items()
        for name, spec in manifest.arrays(nested)
        if math.prod(spec.shape) <= SMALL
    ]


def test_written_files_import_with_the_same_sizes(written):
    importer = Importer.open(written)
    assert importer.config.gpt == support.tiny_config().gpt
    assert importer.config.dit == support.tiny_config().dit
    for component in files_to_read():
        assert importer.read(component)  # raises for what is not finite


def files_to_read() -> list[str]:
    return [name for name in COMPONENTS if name != "text_emotion"]


def test_the_training_state_is_written_and_not_asked_for(written):
    importer = Importer.open(written)
    importer.read("length_regulator")
    importer.read("dit")
    weights = sum(spec.bytes for _, spec in manifest.arrays(tiny()["s2mel"]))
    assert importer.located.files["s2mel"].stat().st_size > 3 * weights
    assert importer.tensors["s2mel"].bytes_read < 1.1 * weights + 200_000  # names of the state


def test_the_same_seed_gives_the_same_values_and_another_does_not():
    spec = Spec((3, 5), "float32")
    first, same, other = (rules.value("gpt", "emo_layer.weight", spec, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)
    assert not np.allclose(first, rules.value("gpt", "emovec_layer.weight", spec, 1))


def test_every_small_published_array_is_finite_and_has_its_shape():
    shapes = {
        (file, name): spec.shape
        for file, nested in published().items()
        for name, spec in manifest.arrays(nested)
    }
    for file, name, array in drawn():
        assert array.shape == shapes[file, name], name
        assert np.isfinite(array).all(), name


@pytest.mark.parametrize(
    ("ending", "low", "high"),
    [
        ("running_var", 0.5, 1.5),
        ("weight_g", 0.03, 2.0),
        ("norm.weight", 0.6, 1.4),
        ("batchnorm.weight", 0.6, 1.4),
    ],
)
def test_variances_magnitudes_and_norms_are_positive(ending, low, high):
    found = [array for _, name, array in drawn() if name.endswith(ending) and array.ndim]
    assert len(found) > 5
    assert min(array.min() for array in found) >= low
    assert max(array.max() for array in found) <= high


@pytest.mark.parametrize(
    ("file", "name", "shape", "fan"),
    [
        ("w2v_bert", "feature_projection.projection.weight", (64, 160), 160),
        ("gpt", "gpt.h.0.mlp.c_fc.weight", (100, 400), 100),
        ("gpt", "gpt.h.0.mlp.c_proj.weight", (400, 100), 400),
        ("bigvgan", "generator.ups.0.0.weight_v", (64, 32, 8), 256),
    ],
)
def test_kernels_are_scaled_by_what_they_sum_over(file, name, shape, fan):
    array = rules.value(file, name, Spec(shape, "float32"), 0)
    assert np.std(array) == pytest.approx(1 / math.sqrt(fan), rel=0.05)


def test_the_published_settings_are_those_of_the_published_sizes(tmp_path):
    data = settings.published(bundled_config("indextts2"), published()["s2mel"])
    real = support.real("config.yaml")
    assert data == yaml.safe_load(real.read_text(encoding="utf-8"))


def test_all_files_but_the_text_emotion_model_take_eight_gigabytes():
    manifests = {name: nested for name, nested in published().items() if name != "qwen"}
    size = files.needed(files.with_matrices(manifests, bundled_config("indextts2")))
    assert 7.5e9 < size < 8.5e9


def test_existing_directory_is_rejected(tmp_path):
    with pytest.raises(InputError, match="exists already"), files.new_folder(tmp_path, 1):
        pass


def test_full_disk_is_reported_before_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    with (
        pytest.raises(InputError, match=r"1\.00 GB free; 8\.00 needed"),
        files.new_folder(tmp_path / "new", 8 * 10**9),
    ):
        pass
    assert not list(tmp_path.iterdir())


def failing(target: Path) -> None:
    with files.new_folder(target, 1) as folder:
        (folder / "gpt.pth").touch()
        raise RuntimeError("stop")


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        failing(tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_velocity_and_condition_are_compared_with_what_is_recorded(tmp_path):
    flow, regulator = support.golden("cfm"), support.golden("length_regulator")
    prompt = np.zeros_like(flow["noise"])
    prompt[..., : flow["prompt_mel"].shape[-1]] = flow["prompt_mel"]
    given = {name: flow[name] for name in ("noise", "condition", "style")} | {
        "time": np.float32([0.3]),
        "prompt": prompt,
        "sequence": regulator["infer_in"],
        "stretched": regulator["condition"],
        "velocity": flow["estimator_t0_3"],
    }
    np.savez(tmp_path / "velocity.npz", **given)
    params = {name: support.tiny_params(name) for name in ("dit", "length_regulator")}
    model = Model(support.tiny_config(), params, Tokenizer(support.CHECKPOINTS / "bpe.model"))
    rows = list(ours.over_many_frames(model, tmp_path / "velocity.npz"))
    assert [row.passed for row in rows] == [True, True]
    assert rows[1].name == f"cfm.velocity_{flow['noise'].shape[-1]}"


def test_the_summary_holds_the_worst_of_a_stage():
    rows = [
        Comparison("gpt.prefix", (3,), 1e-7, 3e-6, 1.0, True),
        Comparison("gpt.step_logits", (3,), 2e-6, 1e-6, 1.0, True),
        Comparison("gpt.greedy_codes", (3,), 0.5, 0.5, 1.0, False, exact=True),
        Comparison("codec.codes", (3,), 0.0, 0.0, 1.0, True, exact=True),
    ]
    summary = json.loads(json.dumps(compare_full_size.by_stage(rows)))
    assert summary["gpt"] == {
        "arrays": 3,
        "rms": 2e-6,
        "largest": 3e-6,
        "equal": False,
        "passed": False,
    }
    assert summary["codec"]["equal"]
