import dataclasses
import json

import numpy as np
import pytest
import support

from importers.formats.tensors import open_tensors
from importers.sizes import resolve
from importers.table import ImportMismatch, apply, flatten, plan
from importers.tables import bigvgan
from indextts_jax.config import VocoderConfig, bundled_config
from indextts_jax.models.components import structure
from indextts_jax.utils.strict_data import from_data

FILE = "bigvgan_generator.pt"


class Tensor:
    """A tensor in memory, as a file would give it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def read(self):
        return self.array


class Published:
    """A tensor of the published file, of which only name, shape and dtype are known."""

    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)


def manifest():
    text = (support.MANIFESTS / "bigvgan.json").read_text(encoding="utf-8")
    entries = json.loads(text)["generator"]
    return {name: Published(entry["shape"], entry["dtype"]) for name, entry in entries.items()}


def published():
    return structure("vocoder", bundled_config("indextts2")).expected


def tiny_settings():
    path = support.CHECKPOINTS / "bigvgan" / "config.json"
    return json.loads(path.read_text(encoding="utf-8"))


def tiny_tensors():
    return dict(open_tensors(support.CHECKPOINTS / "bigvgan" / FILE, part="generator"))


def respelled(tensors, names):
    """The same weights with their weight norm under other names: `names` maps suffixes."""
    renamed = {}
    for name, tensor in tensors.items():
        stem, _, suffix = name.rpartition(".")
        renamed[f"{stem}.{names.get(suffix, suffix)}"] = tensor
    return renamed


def folded(tensors):
    """The same weights with their weight norm worked out, in float64."""
    result = {n: t for n, t in tensors.items() if not n.endswith(("weight_g", "weight_v"))}
    for name in (n for n in tensors if n.endswith("weight_v")):
        direction = tensors[name].read().astype(np.float64)
        norm = np.sqrt((direction**2).sum((1, 2), keepdims=True))
        magnitude = tensors[name.replace("weight_v", "weight_g")].read()
        weight = (magnitude * (direction / norm)).astype(np.float32)
        result[name.replace("weight_v", "weight")] = Tensor(weight)
    return result


SPELLINGS = {
    "old": lambda tensors: tensors,
    "new": lambda tensors: respelled(
        tensors,
        {
            "weight_g": "parametrizations.weight.original0",
            "weight_v": "parametrizations.weight.original1",
        },
    ),
    "folded": folded,
}


def test_the_published_file_fills_the_vocoder():
    tensors = manifest()

    found = plan(bigvgan.TABLE, tensors, published(), file=FILE)

    assert len(tensors) == 783
    assert len(found.read) == 3 + 6 * 3 + 108 * 3 + 109 * 2 + 2 == 565
    assert len(found.dropped) == 2 * 109 == 218
    assert all(name.endswith(".filter") for name in found.dropped)
    assert sum(np.prod(leaf.shape) for leaf in flatten(published()).values()) == 112_199_472


@pytest.mark.parametrize(
    "stray",
    [
        "conv_post.bias",
        "resblocks.0.convs3.0.bias",
        "resblocks.0.activations.0.downsample.filter",
        "resblocks.0.activations.0.upsample.lowpass.filter",
        "ups.0.1.bias",
        "activation_post.act.gamma",
    ],
)
def test_a_name_that_no_published_file_has_is_unexpected(stray):
    with pytest.raises(ImportMismatch, match=f"unexpected: {stray}"):
        plan(bigvgan.TABLE, manifest() | {stray: Published([1])}, published(), file=FILE)


def test_a_block_that_is_not_there_is_missing():
    tensors = {n: t for n, t in manifest().items() if not n.startswith("resblocks.17.")}

    with pytest.raises(ImportMismatch, match=r"missing: resblocks\.17\.convs1\.0\.weight_g"):
        plan(bigvgan.TABLE, tensors, published(), file=FILE)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_weight_norm_gives_the_same_parameters(spelling):
    expected = structure("vocoder", bundled_config("tiny")).expected
    reference = flatten(apply(bigvgan.TABLE, tiny_tensors(), expected, file=FILE))

    ours = apply(bigvgan.TABLE, SPELLINGS[spelling](tiny_tensors()), expected, file=FILE)

    for name, array in flatten(ours).items():
        np.testing.assert_allclose(array, reference[name], rtol=0, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_sizes_of_the_tiny_set_under_every_spelling(spelling):
    tensors = SPELLINGS[spelling](tiny_tensors())

    values = resolve(bigvgan.sizes(tensors), tiny_settings(), tensors, file=FILE)

    assert from_data(VocoderConfig, values) == bundled_config("tiny").vocoder


def test_the_published_sizes_follow_from_the_published_settings():
    settings = tiny_settings() | {"upsample_initial_channel": 1536}

    values = resolve(bigvgan.sizes(manifest()), settings, manifest(), file=FILE)

    assert from_data(VocoderConfig, values) == bundled_config("indextts2").vocoder


def test_channels_are_halved_downwards():
    widths = {128 >> stage: 100 >> stage for stage in range(7)}  # down to one channel
    tensors = {
        name: Published([*(widths.get(size, size) for size in t.shape[:2]), *t.shape[2:]])
        for name, t in tiny_tensors().items()
    }
    settings = tiny_settings() | {"upsample_initial_channel": 100}
    sized = resolve(bigvgan.sizes(tensors), settings, tensors, file=FILE)
    cfg = from_data(VocoderConfig, sized)
    whole = dataclasses.replace(bundled_config("tiny"), vocoder=cfg)

    found = plan(bigvgan.TABLE, tensors, structure("vocoder", whole).expected, file=FILE)

    assert len(found.read) == 565


def test_a_file_without_the_tensor_of_a_size_is_named():
    with pytest.raises(ImportMismatch, match=r"missing: conv_pre\.weight_v \(for the size"):
        resolve(bigvgan.sizes({}), tiny_settings(), {}, file=FILE)


@pytest.mark.parametrize("form", ["old", "new"])
@pytest.mark.parametrize("transposed", [False, True])
def test_weight_norm_is_torch_s(form, transposed):
    torch = pytest.importorskip("torch")
    kind = torch.nn.ConvTranspose1d if transposed else torch.nn.Conv1d
    layer = kind(7, 5, 3)
    weight = layer.weight.detach().numpy().copy()
    if form == "old":
        with pytest.warns(FutureWarning):
            torch.nn.utils.weight_norm(layer)
        magnitude = layer.weight_g
    else:
        torch.nn.utils.parametrizations.weight_norm(layer)
        magnitude = layer.parametrizations.weight.original0
    scale = torch.linspace(0.5, 2, len(magnitude)).reshape(magnitude.shape)
    magnitude.data *= scale
    stem = "ups.0.0" if transposed else "conv_pre"
    tensors = {f"{stem}.{n}": Tensor(p.detach().numpy()) for n, p in layer.named_parameters()}
    target = "ups" if transposed else "conv_pre"
    rows = [row for row in bigvgan.TABLE if str(getattr(row, "target", "")).startswith(target)]
    shape = Published([3, 7, 5])
    tree = {"kernel": shape, "bias": Published([5])}
    expected = {"ups": {0: tree}} if transposed else {"conv_pre": tree}

    ours = flatten(apply(rows, tensors, expected, file=FILE))

    theirs = weight * scale.numpy()
    theirs = theirs.transpose(2, 0, 1) if transposed else theirs.transpose(2, 1, 0)
    kernel = ours["ups.0.kernel" if transposed else "conv_pre.kernel"]
    np.testing.assert_allclose(kernel, theirs, rtol=0, atol=1e-6)


def test_the_tiny_settings_are_all_implemented():
    assert bigvgan.check_settings(tiny_settings(), bundled_config("tiny").mel) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("resblock", "2"),
        ("resblock", 1),
        ("activation", "snake"),
        ("use_tanh_at_final", True),
        ("use_bias_at_final", True),
        ("upsample_rates", "4, 4"),
        ("hop_size", 300),
    ],
)
def test_a_setting_that_is_not_implemented_is_named(key, value):
    problems = bigvgan.check_settings(tiny_settings() | {key: value})

    assert len(problems) == 1
    assert problems[0].startswith(f"{key} is {value!r}")


@pytest.mark.parametrize("key", ["use_tanh_at_final", "use_bias_at_final"])
def test_a_setting_whose_default_is_not_implemented_must_be_there(key):
    settings = tiny_settings()
    del settings[key]

    assert bigvgan.check_settings(settings) == [
        f"{key} is absent, so True: only False is supported"
    ]


@pytest.mark.parametrize(
    "key",
    [
        "num_mels",
        "upsample_initial_channel",
        "upsample_rates",
        "upsample_kernel_sizes",
        "resblock_kernel_sizes",
        "resblock_dilation_sizes",
        "snake_logscale",
        "resblock",
        "activation",
    ],
)
def test_a_setting_that_is_missing_is_named(key):
    settings = tiny_settings()
    del settings[key]

    assert bigvgan.check_settings(settings) == [f"missing key {key}"]


@pytest.mark.parametrize(
    ("key", "value", "ours"),
    [
        ("num_mels", 100, 80),
        ("sampling_rate", 24000, 22050),
        ("hop_size", 512, 256),
    ],
)
def test_different_spectrogram_is_reported(key, value, ours):
    problems = bigvgan.check_settings(
        tiny_settings() | {key: value}, bundled_config("indextts2").mel
    )

    assert problems[-1] == f"{key} is {value}, but the model's spectrogram has {ours}"


@pytest.mark.parametrize("key", ["n_fft", "win_size", "fmin", "fmax"])
def test_how_the_spectrogram_was_made_in_training_does_not_matter(key):
    settings = tiny_settings() | {key: 7}

    assert bigvgan.check_settings(settings, bundled_config("indextts2").mel) == []


def test_the_filters_of_the_tiny_set_are_those_of_the_design():
    tensors = tiny_tensors()
    other = "resblocks.3.activations.5.downsample.lowpass.filter"

    assert bigvgan.check_filters(tensors) == []
    tensors[other] = Tensor(tensors[other].read() * np.float32(1.0001))
    assert bigvgan.check_filters(tensors) == [
        f"{other} is not the low-pass filter of the reference's design"
    ]


def test_a_filter_of_another_length_is_not_that_of_the_design():
    name = "activation_post.upsample.filter"

    assert len(bigvgan.check_filters({name: Tensor(np.ones((1, 1, 8), np.float32))})) == 1


def test_a_filter_of_whole_numbers_is_not_that_of_the_design():
    name = "activation_post.upsample.filter"

    assert len(bigvgan.check_filters({name: Tensor(np.ones((1, 1, 12), np.int64))})) == 1


def test_a_filter_in_half_precision_may_be_rounded():
    name = "activation_post.upsample.filter"
    stored = tiny_tensors()[name].read().astype(np.float16)

    assert bigvgan.check_filters({name: Tensor(stored)}) == []
