"""Components that are loaded as they are used."""

from pathlib import Path

import jax
import pytest
import support

from indextts_jax.checkpoint.reading import CheckpointMismatch
from indextts_jax.checkpoint.writing import save
from indextts_jax.config import RunConfig
from indextts_jax.engine.demo import random_params
from indextts_jax.models.components import structure
from indextts_jax.runtime.model import Model, load_model
from indextts_jax.runtime.parameters import Parameters

NAMES = ("emotion_prototypes", "gpt", "length_regulator")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, target = support.tiny_config(), tmp_path_factory.mktemp("model") / "part"
    save(
        target,
        config=config,
        tokenizer=(support.CHECKPOINTS / "bpe.model").read_bytes(),
        components=((n, random_params(structure(n, config).expected, 0)) for n in NAMES),
    )
    return target


def lazily(checkpoint: Path, dtype: str = "bfloat16") -> tuple[Model, Parameters]:
    model = load_model(checkpoint, RunConfig(dtype=dtype), components=NAMES, lazy=True)
    assert isinstance(model.params, Parameters)
    return model, model.params


def test_a_lazy_model_loads_what_is_used_and_lets_it_go(checkpoint: Path) -> None:
    model, params = lazily(checkpoint)
    # Not the first component: the type checker of the tests looks at it.
    assert ("gpt" in params.held, model.device) == (False, jax.devices()[0])
    model.fetch(["gpt", "length_regulator"])
    assert {"gpt", "length_regulator"} <= set(params.held)
    model.release(["gpt", "dit"])
    assert "gpt" not in params.held
    assert "length_regulator" in params.held


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("name", NAMES)
def test_the_shapes_of_what_is_not_loaded_are_those_of_what_is(
    checkpoint: Path, name: str, dtype: str
) -> None:
    _, params = lazily(checkpoint, dtype)
    shapes = params.shapes[name]
    loaded = params[name]
    assert str(jax.tree.structure(shapes)) == str(jax.tree.structure(loaded))
    for like, leaf in zip(jax.tree.leaves(shapes), jax.tree.leaves(loaded), strict=True):
        assert (like.shape, like.dtype) == (leaf.shape, leaf.dtype)


def test_damage_is_found_before_anything_is_loaded(checkpoint: Path) -> None:
    model, params = lazily(checkpoint)
    victim = max((checkpoint / "gpt").rglob("*"), key=lambda p: p.stat().st_size)
    content = victim.read_bytes()
    try:
        victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(CheckpointMismatch, match="damaged: "):
            model.verify(["gpt"])
    finally:
        victim.write_bytes(content)
    assert "gpt" not in params.held


def test_a_model_is_shown_in_one_short_line(checkpoint: Path) -> None:
    model, _ = lazily(checkpoint)

    assert repr(model) == "<Model: version 2.0, 0.3 M parameters, bfloat16>"
