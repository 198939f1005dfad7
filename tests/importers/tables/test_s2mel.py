import copy
import dataclasses
import json

import jax
import numpy as np
import pytest
import support
import yaml

from importers.formats.tensors import open_tensors
from importers.sizes import resolve
from importers.table import ImportMismatch, plan
from importers.tables import s2mel
from indextts_jax.config import bundled_config
from indextts_jax.models.components import structure
from indextts_jax.utils.strict_data import to_data

# The settings of the published model that the sizes are taken from.
PUBLISHED = {
    "gpt": {"model_dim": 1280},
    "s2mel": {
        "style_encoder": {"dim": 192},
        "length_regulator": {"channels": 512, "in_channels": 1024, "sampling_ratios": [1, 1, 1, 1]},
        "DiT": {
            "hidden_dim": 512,
            "num_heads": 8,
            "depth": 13,
            "in_channels": 80,
            "content_dim": 512,
        },
        "wavenet": {"num_layers": 8, "kernel_size": 5, "dilation_rate": 1},
    },
}


class Published:
    """A tensor of a published file of which only name, shape and dtype are known."""

    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)


def manifest():
    parts = json.loads((support.MANIFESTS / "s2mel.json").read_text(encoding="utf-8"))
    return {
        f"{part}.{name}": Published(entry["shape"], entry["dtype"])
        for part, entries in parts.items()
        for name, entry in entries.items()
    }


def tiny_tensors():
    return dict(open_tensors(support.CHECKPOINTS / "s2mel.pth", part="net"))


def tiny_settings():
    return yaml.safe_load((support.CHECKPOINTS / "config.yaml").read_text(encoding="utf-8"))


def resolved(tensors, config):
    expected = {name: structure(name, config).expected for name in ("length_regulator", "dit")}
    return plan(s2mel.table(config), tensors, expected, file="s2mel.pth")


def with_dit(config, **changes):
    return dataclasses.replace(config, dit=dataclasses.replace(config.dit, **changes))


def test_the_published_file_fills_both_components():
    tensors = manifest()
    found = resolved(tensors, bundled_config("indextts2"))

    assert len(tensors) == 256 + 22 + 6
    assert len(found.read) == (256 - 20) + (22 - 2) + 6 == 262
    assert len(found.dropped) == 20 + 2 == 22
    assert set(found.dropped) == {
        "length_regulator.embedding.weight",
        "length_regulator.mask_token",
        *(
            f"cfm.estimator.{name}"
            for name in (
                "input_pos",
                "x_embedder.weight_g",
                "x_embedder.weight_v",
                "x_embedder.bias",
                "cond_embedder.weight",
                "content_mask_embedder.weight",
                *(
                    f"transformer.layers.{i}.skip_in_linear.{kind}"
                    for i in range(7)
                    for kind in ("weight", "bias")
                ),
            )
        ),
    }


def test_the_tiny_file_fills_both_components():
    found = resolved(tiny_tensors(), bundled_config("tiny"))

    assert len(found.read) == 13 * 5 + 6 * 3 + 39 - 12 + 26
    assert len(found.dropped) == 12 + 2


def test_every_drop_has_a_reason_of_its_own_kind():
    drops = resolved(manifest(), bundled_config("indextts2")).dropped

    assert all(drops.values())
    assert drops["cfm.estimator.transformer.layers.6.skip_in_linear.bias"] == (
        "layer 6 has no skip"
    )


@pytest.mark.parametrize(
    "stray",
    [
        "cfm.estimator.transformer.layers.13.attention.wo.weight",
        "cfm.estimator.transformer.layers.13.skip_in_linear.weight",
        "cfm.estimator.transformer.layers.0.skip_in_linear.scale",
        "cfm.estimator.wavenet.in_layers.8.conv.conv.bias",
        "cfm.estimator.freqs_cis",
        "length_regulator.model.13.weight",
        "length_regulator.f0_embedding.weight",
        "gpt_layer.3.weight",
    ],
)
def test_a_name_that_no_published_file_has_is_unexpected(stray):
    with pytest.raises(ImportMismatch, match=f"unexpected: {stray}"):
        resolved(manifest() | {stray: Published([512])}, bundled_config("indextts2"))


@pytest.mark.parametrize("held", ["new", "folded"])
def test_new_and_folded_weight_norm_are_accepted(held):
    tensors = manifest()
    for name in [name for name in tensors if name.endswith(".weight_g")]:
        prefix = name.removesuffix(".weight_g")
        g, v = tensors.pop(f"{prefix}.weight_g"), tensors.pop(f"{prefix}.weight_v")
        if held == "new":
            tensors[f"{prefix}.parametrizations.weight.original0"] = g
            tensors[f"{prefix}.parametrizations.weight.original1"] = v
        else:
            tensors[f"{prefix}.weight"] = v

    folded = 18 if held == "folded" else 0  # 8 + 8 + 1 of the WaveNet, and the final layer
    assert len(resolved(tensors, bundled_config("indextts2")).read) == 262 - folded


def test_even_number_of_layers_leaves_one_skip_unused():
    config = with_dit(bundled_config("tiny"), layers=4)
    tensors = {
        name: tensor
        for name, tensor in tiny_tensors().items()
        if not name.startswith("cfm.estimator.transformer.layers.4.")
    }
    found = resolved(tensors, config)

    source = "cfm.estimator.transformer.layers.{}.skip_in_linear.weight"
    skips = next(fill for fill in found.fills if fill.targets == ("dit.skips.kernel",))
    assert skips.sources == ((source.format(3),),)
    assert {source.format(i) for i in range(3)} <= set(found.dropped)


def test_layers_of_different_dilation_are_a_list():
    config = bundled_config("tiny")
    config = with_dit(config, wavenet=dataclasses.replace(config.dit.wavenet, dilation=2))
    targets = {target for fill in resolved(tiny_tensors(), config).fills for target in fill.targets}

    assert {f"dit.wavenet.layers.{j}.conv.kernel" for j in range(2)} <= targets


@pytest.mark.parametrize(
    ("settings", "tensors", "name"),
    [
        (lambda: PUBLISHED, manifest, "indextts2"),
        (tiny_settings, tiny_tensors, "tiny"),
    ],
)
def test_the_sizes_are_those_of_our_configuration(settings, tensors, name):
    for component in ("length_regulator", "dit"):
        values = resolve(s2mel.SIZES[component], settings(), tensors(), file="s2mel.pth")
        flat = {}
        for key, value in to_data(getattr(bundled_config(name), component)).items():
            nested = dict(enumerate(value)) if isinstance(value, list) else value
            parts = nested if isinstance(nested, dict) else {None: nested}
            flat |= {key if p is None else f"{key}.{p}": number for p, number in parts.items()}

        assert values == flat


@pytest.mark.parametrize(
    ("width", "feed_forward"), [(32, 256), (96, 256), (128, 512), (512, 1536), (1024, 2816)]
)
def test_the_feed_forward_width_follows_from_the_width(width, feed_forward):
    assert s2mel.feed_forward_width(width) == feed_forward


def test_the_settings_of_the_tiny_set_are_supported():
    assert s2mel.check_settings(tiny_settings()) == []


@pytest.mark.parametrize("key", s2mel.SUPPORTED)
def test_an_option_that_is_not_implemented_is_refused_by_name(key):
    settings = copy.deepcopy(tiny_settings())
    *path, last = key.split(".")
    section = settings
    for part in path:
        section = section[part]
    value = section[last]
    section[last] = not value if isinstance(value, bool) else f"other_{value}"

    problems = s2mel.check_settings(settings)

    assert any(problem.startswith(f"{key} is ") for problem in problems)


@pytest.mark.parametrize("key", s2mel.EQUAL)
def test_keys_that_must_agree_are_both_named(key):
    settings = copy.deepcopy(tiny_settings())
    *path, last = key.split(".")
    section = settings
    for part in path:
        section = section[part]
    section[last] = not section[last] if isinstance(section[last], bool) else section[last] + 1

    (problem,) = s2mel.check_settings(settings)

    assert problem.startswith(f"{key} is ")
    assert s2mel.EQUAL[key] in problem


def test_rotary_over_halves_gives_the_scores_of_rotary_over_neighbours():
    heads, width, frames = 3, 18, 7
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((3 * width, width))
    x = rng.standard_normal((frames, width))
    turn = np.exp(1j * rng.uniform(0, 6, (frames, 1, width // heads // 2)))

    def scores(pairs):
        q, k = (np.einsum("fhi,fhi->fhi", a, turn) for a in pairs)
        return np.real(np.einsum("fhi,ghi->hfg", q, np.conj(k)))

    stored = np.split(x @ weight.T, 3, axis=-1)
    ours = np.split(x @ s2mel.halved_rotary(heads)(weight), 3, axis=-1)
    neighbours = [a.reshape(frames, heads, -1, 2) @ [1, 1j] for a in stored[:2]]
    halves = [np.moveaxis(a.reshape(frames, heads, 2, -1), 2, -1) @ [1, 1j] for a in ours[:2]]

    np.testing.assert_allclose(scores(halves), scores(neighbours), atol=1e-12)
    np.testing.assert_array_equal(ours[2], stored[2])


def test_a_matrix_over_joined_inputs_is_split_by_column():
    weight = np.arange(3 * 7).reshape(3, 7)
    first, second = s2mel.split_columns(2, 5)(weight)

    np.testing.assert_array_equal(first, weight.T[:2])
    np.testing.assert_array_equal(second, weight.T[2:])
    with pytest.raises(ValueError, match="7 columns are not 2 \\+ 4"):
        s2mel.split_columns(2, 4)(weight)


def test_a_merge_of_another_width_is_reported():
    tensors = manifest() | {"cfm.estimator.cond_x_merge_linear.weight": Published([512, 863])}
    with pytest.raises(ImportMismatch, match=r"863 columns are not 80 \+ 80 \+ 512 \+ 192"):
        resolved(tensors, bundled_config("indextts2"))


def test_the_stored_frequencies_stay_as_they_are():
    params = support.tiny_params("dit")
    stored = tiny_tensors()["cfm.estimator.t_embedder.freqs"].read()

    np.testing.assert_array_equal(params["time"]["freqs"], stored)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))
