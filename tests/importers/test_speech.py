"""The import of a whole published model: what it reads, what it refuses, all at once."""

import dataclasses
import json

import jax
import ml_dtypes
import numpy as np
import published_set
import pytest
import safetensors.numpy
import support
from torch_files import Call, Global

from importers import table
from importers.formats.tensors import BARE, SourceError
from importers.release.files import FILES, expected_of, files_of
from importers.release.settings import read_published
from importers.speech import Importer
from importers.table import ImportMismatch
from indextts_jax.config import bundled_config
from indextts_jax.models.components import COMPONENTS, structure
from indextts_jax.utils.strict_data import to_data

GPT, S2MEL, BIGVGAN = "gpt.pth", "s2mel.pth", "bigvgan/bigvgan_generator.pt"


@pytest.fixture
def src(tmp_path):
    return published_set.linked(tmp_path)


def problems(src, **options):
    with pytest.raises(ImportMismatch) as caught:
        Importer.open(src, **options)
    return list(caught.value.problems)


def assert_equal_trees(ours, reference):
    assert jax.tree.structure(ours) == jax.tree.structure(reference)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(reference), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


# What is imported.

READ_AND_DROPPED = {
    "semantic_encoder": (550, 33),
    "semantic_codec": (33, 26),
    "style_encoder": (815, 122),
    "conditioning": (176, 0),
    "emotion_prototypes": (2, 0),
    "gpt": (47, 2),
    "length_regulator": (26, 2),
    "dit": (110, 12),
    "vocoder": (565, 218),
}


@pytest.fixture(scope="module")
def importer():
    return Importer.open(support.CHECKPOINTS)


def test_the_tiny_set_gives_the_tiny_configuration(importer):
    assert importer.config == dataclasses.replace(bundled_config("tiny"), text_emotion=None)


@pytest.mark.parametrize("component", COMPONENTS)
def test_counts_what_is_read_and_dropped_by_component(importer, component):
    plans = [importer.plan_of(component, file) for file in files_of(component)]
    read, dropped = (sum(len(getattr(p, kind)) for p in plans) for kind in ("read", "dropped"))
    assert (read, dropped) == READ_AND_DROPPED[component]


def test_every_array_of_every_file_counts_once(importer):
    counts = {
        file: sum(
            len(plan.read) + len(plan.dropped)
            for plan in (importer.plan_of(c, file) for c in FILES[file].components)
        )
        for file in FILES
    }
    assert counts == {file: len(importer.tensors[file]) for file in FILES}


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_parameters_are_as_the_model_expects_in_each_dtype(component, dtype):
    importer = Importer.open(support.CHECKPOINTS, dtype=dtype)
    expected = structure(component, importer.config, dtype).expected
    params = importer.read(component)
    described = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), params)
    assert described == expected


def test_stored_tables_stay_float32():
    importer = Importer.open(support.CHECKPOINTS, dtype="bfloat16")
    prototypes, encoder = importer.read("emotion_prototypes"), importer.read("semantic_encoder")
    assert prototypes["speaker"].dtype == encoder["mean"].dtype == np.float32
    assert encoder["blocks"]["norm_feed_forward_in"]["scale"].dtype == ml_dtypes.bfloat16


def test_training_state_is_not_read(src, importer):
    net = {"net": published_set.arrays(S2MEL)}
    state = {"optimizer": {"state": {0: {"exp_avg": np.zeros(2**22, np.float32)}}}}
    state["scheduler"] = Call(Global("torch.optim.lr_scheduler", "StepLR"))
    published_set.replace(src, S2MEL, net | state | {"iters": 3, "epoch": 4})
    other = Importer.open(src)
    for component in ("dit", "length_regulator"):
        assert_equal_trees(other.read(component), importer.read(component))
    weights = sum(array.nbytes for array in net["net"].values())
    assert other.tensors["s2mel"].bytes_read < weights + 2**18


def as_it_is(arrays):
    return arrays


def under_model(arrays):
    return {"model": arrays, "optimizer": Call(Global("my", "Optimizer"))}


def distributed(arrays):
    return {f"module.{name}": array for name, array in arrays.items()}


@pytest.mark.parametrize("spelling", [as_it_is, under_model, distributed])
def test_spellings_of_gpt_give_the_same(src, importer, spelling):
    published_set.replace(src, GPT, spelling(published_set.arrays(GPT)))
    other = Importer.open(src)
    for component in ("conditioning", "gpt"):
        assert_equal_trees(other.read(component), importer.read(component))


def new_names(arrays):
    renamed = {"weight_g": "original0", "weight_v": "original1"}
    return {
        f"{stem}.parametrizations.weight.{renamed[kind]}" if kind in renamed else name: array
        for name, array in arrays.items()
        for stem, _, kind in [name.rpartition(".")]
    }


@pytest.mark.parametrize(("name", "component"), [(S2MEL, "dit"), (BIGVGAN, "vocoder")])
def test_both_spellings_of_weight_norm_give_the_same(src, importer, name, component):
    renamed = new_names(published_set.arrays(name))
    published_set.replace(src, name, {published_set.PARTS[name]: renamed})
    assert_equal_trees(Importer.open(src).read(component), importer.read(component))


@pytest.mark.parametrize(
    ("name", "component"),
    [(GPT, "gpt"), (S2MEL, "dit"), (BIGVGAN, "vocoder"), ("feat2.pt", "emotion_prototypes")],
)
def test_safetensors_give_the_same(src, importer, name, component):
    arrays = {key: np.ascontiguousarray(a) for key, a in published_set.arrays(name).items()}
    (src / name).unlink()
    safetensors.numpy.save_file(arrays, (src / name).with_suffix(".safetensors"))
    assert_equal_trees(Importer.open(src).read(component), importer.read(component))


# What is refused.


def test_wrong_arrays_of_all_files_are_reported_at_once(src):
    def damage_gpt(arrays):
        arrays["final_norm.wieght"] = arrays.pop("final_norm.weight")
        arrays["mel_head.bias"] = arrays["mel_head.bias"][:-1]

    def damage_s2mel(arrays):
        arrays["cfm.estimator.conv1.bias"] = np.arange(64)
        arrays["cfm.estimator.new"] = np.ones(3, np.float32)

    published_set.rewrite(src, GPT, damage_gpt)
    published_set.rewrite(src, S2MEL, damage_s2mel)
    assert problems(src) == [
        "gpt.pth: missing: final_norm.weight (for gpt.final_norm.scale) "
        "(nearest: final_norm.wieght)",
        "gpt.pth: unexpected: final_norm.wieght (64,) (nearest: final_norm.weight)",
        "gpt.pth: shape of gpt.code_head.bias: checkpoint (65,) from mel_head.bias (65,), "
        "model (66,)",
        "s2mel.pth: unexpected: cfm.estimator.new (3,)",
        "s2mel.pth: dtype of cfm.estimator.conv1.bias: checkpoint int64, expected floating point",
    ]


def test_unsupported_settings_are_reported_with_other_problems(src):
    def change(data):
        data["s2mel"]["DiT"]["style_as_token"] = True
        data["gpt"]["condition_type"] = "conformer_encoder"

    published_set.reconfigure(src, change)
    published_set.rewrite(src, GPT, lambda arrays: arrays.pop("final_norm.bias"))
    found = problems(src)
    assert [line.split(" ")[1] for line in found[:2]] == [
        "gpt.condition_type",
        "s2mel.DiT.style_as_token",
    ]
    assert found[2] == "gpt.pth: missing: final_norm.bias (for gpt.final_norm.bias)"


def test_unknown_size_does_not_stop_other_checks(src):
    published_set.rewrite(src, GPT, lambda arrays: arrays.pop("perceiver_encoder.latents"))
    published_set.rewrite(src, S2MEL, lambda arrays: arrays.pop("cfm.estimator.conv1.bias"))
    found = problems(src)
    assert found[0].startswith("gpt.pth: missing: perceiver_encoder.latents (for the size")
    assert found[-1].startswith("s2mel.pth: missing: cfm.estimator.conv1.bias (for dit.")


def test_sizes_that_do_not_fit_each_other_name_both_sides(src):
    def change(data):
        data["semantic_codec"]["hidden_size"] = 40

    published_set.reconfigure(src, change)
    assert any(
        "semantic_encoder.width is 32, but semantic_codec.width is 40" in p for p in problems(src)
    )


def test_all_unreadable_files_are_reported_at_once(src):
    evil = {"a": Call(Global("posix", "system"), ("true",))}
    published_set.replace(src, GPT, evil)
    (src / S2MEL).unlink()
    (src / S2MEL).write_bytes(b"PK\x03\x04")
    with pytest.raises(SourceError) as caught:
        Importer.open(src)
    _, first, second = str(caught.value).splitlines()
    assert "gpt.pth: refused, 'a' is posix.system" in first
    assert "s2mel.pth: a zip file without its directory" in second


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nonfinite_arrays_are_reported_by_name(src, value):
    def damage(arrays):
        arrays["mel_head.bias"] = arrays["mel_head.bias"].copy()
        arrays["mel_head.bias"][3] = value

    published_set.rewrite(src, GPT, damage)
    with pytest.raises(ImportMismatch, match=r"gpt.pth: not finite: mel_head.bias"):
        Importer.open(src).read("gpt")


def test_weights_too_large_for_float16_are_reported(src):
    published_set.rewrite(src, GPT, lambda a: a.update({"mel_head.bias": a["mel_head.bias"] + 1e6}))
    with pytest.raises(ImportMismatch, match=r"not finite: mel_head.bias \(as float16\)"):
        Importer.open(src, dtype="float16").read("gpt")


def test_matrices_with_wrong_row_counts_are_reported(src):
    published_set.reconfigure(src, lambda data: data.update(emo_num=[2, 3, 1, 2, 1, 2, 1, 4]))
    found = problems(src)
    assert "config.yaml: emo_num sums to 16 rows, but the speaker matrix is (15, 192)" in found


def test_matrix_in_a_dictionary_is_reported(src):
    published_set.replace(src, "feat1.pt", {"a": np.ones((15, 192), np.float32), "b": np.ones(3)})
    with pytest.raises(SourceError, match=r"feat1.pt: expected one bare array, got 2"):
        Importer.open(src)


def test_tokenizer_with_too_many_pieces_is_reported(src):
    def fewer(arrays):
        for name in ("text_embedding.weight", "text_head.weight", "text_head.bias"):
            arrays[name] = arrays[name][:-1]

    published_set.rewrite(src, GPT, fewer)
    published_set.reconfigure(src, lambda data: data["gpt"].update(number_text_tokens=959))
    assert "bpe.model has 960 pieces, but gpt.number_text_tokens is 959" in problems(src)


def test_invalid_tokenizer_is_reported(src):
    (src / "bpe.model").unlink()
    (src / "bpe.model").write_bytes(b"nothing")
    assert problems(src)[0].startswith("bpe.model: not a SentencePiece model")


# What is ignored.


def test_names_are_ignored_exactly_and_noted(src):
    def add(arrays):
        arrays["lora.a"] = np.ones(2, np.float32)
        arrays["step"] = 7

    published_set.rewrite(src, GPT, add)
    published_set.reconfigure(src, lambda data: data["gpt"].update(new=1))
    importer = Importer.open(src, ignore=["lora.a", "gpt.new", "step"])
    assert importer.ignored == ("lora.a", "gpt.new", "step")


def settings_changed(src, name, **change):
    path = src / name
    data = json.loads(path.read_text()) | change
    path.unlink()
    path.write_text(json.dumps(data))


def test_settings_of_other_models_are_ignored_under_their_prefix(src):
    settings_changed(src, "bigvgan/config.json", sampling_rate=24000)
    (told,) = problems(src)
    assert "sampling_rate is 24000" in told
    importer = Importer.open(src, ignore=["bigvgan.sampling_rate"])
    assert importer.ignored == ("bigvgan.sampling_rate",)


def test_settings_that_disagree_with_arrays_are_reported(src):
    settings_changed(src, "w2v-bert-2.0/config.json", num_hidden_layers=24)
    settings_changed(src, "w2v-bert-2.0/preprocessor_config.json", stride=1)

    def change(data):
        data["gpt"]["emo_condition_module"]["perceiver_mult"] = 3

    published_set.reconfigure(src, change)
    features, layers, multiplier = problems(src)
    assert features == "w2v-bert-2.0/preprocessor_config.json: stride is 1: only 2 is supported"
    assert "num_hidden_layers is 24, but the file holds 18 encoder layers" in layers
    assert "gpt.emo_condition_module.perceiver_mult 3 makes " in multiplier


def test_a_name_that_is_nowhere_cannot_be_ignored(src):
    assert problems(src, ignore=["lora.*"]) == [
        "--ignore lora.*: no key of config.yaml and no array has this name"
    ]


# At the published sizes, by name and shape.


class Described:
    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)


def manifest(name):
    entries = json.loads((support.MANIFESTS / f"{name}.json").read_text(encoding="utf-8"))
    flat = {}
    for key, value in entries.items():
        inner = {key: value} if "shape" in value else {f"{key}.{k}": v for k, v in value.items()}
        flat |= {k: Described(v["shape"], v["dtype"]) for k, v in inner.items()}
    return {key.removeprefix("generator."): value for key, value in flat.items()}


FULL = {
    "w2v_bert": (548, 225),
    "w2v_stat": (2, 0),
    "semantic_codec": (123, 116),
    "campplus": (815, 122),
    "spk_matrix": (1, 0),
    "emo_matrix": (1, 0),
    "gpt": (663, 2),
    "s2mel": (262, 22),
    "bigvgan": (565, 218),
}
SMALL = {
    "w2v_stat": {"mean": Described((1024,)), "var": Described((1024,))},
    "spk_matrix": {BARE: Described((73, 192))},
    "emo_matrix": {BARE: Described((73, 1280))},
}


@pytest.mark.parametrize("file", FILES)
def test_the_published_file_fits_its_table(file):
    config = bundled_config("indextts2")
    tensors = SMALL.get(file) or manifest(file)
    plan = table.plan(FILES[file].rows(config), tensors, expected_of(file, config), file=file)
    assert (len(plan.read), len(plan.dropped)) == FULL[file]
    assert plan.copies == {}


def test_the_published_files_fill_every_parameter():
    config = bundled_config("indextts2")
    for component in COMPONENTS:
        parts = [
            set(table.flatten(expected_of(file, config)[component])) for file in files_of(component)
        ]
        assert sum(map(len, parts)) == len(set().union(*parts))
        assert set().union(*parts) == set(table.flatten(structure(component, config).expected))


# The real files.


def test_the_real_small_files_go_through_their_tables():
    config = bundled_config("indextts2")
    names = {
        "spk_matrix": "feat1.pt",
        "emo_matrix": "feat2.pt",
        "w2v_stat": "wav2vec2bert_stats.pt",
    }
    for file, name in names.items():
        tensors = FILES[file].open(support.real(name))
        tree = table.apply(FILES[file].rows(config), tensors, expected_of(file, config), file=name)
        for component in FILES[file].components:
            for path, array in table.flatten(tree[component]).items():
                key = BARE if FILES[file].bare else path
                np.testing.assert_array_equal(array, tensors[key].read())


def test_the_real_configuration_gives_the_bundled_sizes():
    published, _ = read_published(support.real("config.yaml"))
    from importers.release.files import CONFIG, SIZES
    from importers.sizes import resolve
    from importers.speech import _nested
    from indextts_jax.config import ModelConfig
    from indextts_jax.utils.strict_data import from_data

    wanted = to_data(bundled_config("indextts2"))
    for component, sized in SIZES.items():
        if sized.settings == CONFIG:
            tensors = SMALL.get(sized.file) or manifest(sized.file)
            values = resolve(sized.sizes(tensors), to_data(published), tensors, file=sized.file)
            kind = ModelConfig.__dataclass_fields__[component].type
            assert to_data(from_data(kind, _nested(values), component)) == wanted[component]
    assert to_data(published.mel()) == wanted["mel"]


def test_the_real_tokenizer_fits_the_real_configuration():
    sentencepiece = pytest.importorskip("sentencepiece")
    published, _ = read_published(support.real("config.yaml"))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(support.real("bpe.model")))
    assert processor.get_piece_size() == published.gpt.number_text_tokens
