"""The import of version 2.5: by the published names and shapes, and of sets that do not fit."""

import json
import shutil

import numpy as np
import published_set
import pytest
import support

from importers import table
from importers.formats.tensors import SourceError
from importers.release.files import CONTENTS, expected_of
from importers.release.locate import RANKS
from importers.speech import Importer
from importers.table import ImportMismatch
from indextts_jax.config import bundled_config
from indextts_jax.models.components import structure

CHECKPOINTS = support.DATA / "tiny25" / "checkpoints"
FILES = CONTENTS["2.5"].files


class Published:
    """A tensor of which only shape and dtype are known."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)


def manifest(name):
    entries = json.loads((support.MANIFESTS / f"{name}.json").read_text("utf-8"))
    if name == "s2mel":  # of 2.5, equal to that of 2.0
        entries = {f"{part}.{key}": e for part, held in entries.items() for key, e in held.items()}
    return {key: Published(entry["shape"], entry["dtype"]) for key, entry in entries.items()}


@pytest.fixture
def src(tmp_path):
    return published_set.linked(tmp_path / "published", CHECKPOINTS)


def replaced(src, name, source):
    (src / name).unlink(missing_ok=True)
    shutil.copyfile(source / name, src / name)


def refused(src, error=ImportMismatch, **options):
    with pytest.raises(error) as caught:
        Importer.open(src, **options)
    return str(caught.value)


# The published files, by name and shape.

COUNTS = {
    "gpt": ("v25_gpt", 456, ["text_head.bias", "text_head.weight"]),
    "semantic_codec": ("v25_codec", 243, []),
    "s2mel": ("s2mel", 284, None),
}


@pytest.mark.parametrize("file", COUNTS)
def test_the_published_file_fills_its_components(file):
    name, count, dropped = COUNTS[file]
    tensors, config = manifest(name), bundled_config("indextts2_5")
    expected = expected_of(file, config, files=FILES)
    plan = table.plan(FILES[file].rows(config), tensors, expected, file=file)
    assert len(tensors) == len(plan.read) + len(plan.dropped) == count
    if dropped is not None:
        assert sorted(plan.dropped) == dropped
    assert {f"gpt_layer.{n}.{kind}" for n in range(3) for kind in ("weight", "bias")} <= set(
        plan.dropped
    ) or file != "s2mel"


def test_the_elements_of_the_published_files_are_counted():
    config = bundled_config("indextts2_5")

    def count(component):
        leaves = table.flatten(structure(component, config).expected).values()
        return sum(int(np.prod(leaf.shape)) for leaf in leaves)

    head = 60510 * 1280 + 60510
    assert count("gpt") + count("conditioning") + head == 814_849_460
    # Weight norm has one magnitude for each row of the two projections of the quantiser.
    assert count("semantic_codec") + 8 + 1024 == 50_583_312


# The tiny set.


def test_the_weights_say_the_version_not_the_key(src):
    assert Importer.open(src).config.version == "2.5"
    for told in (2.0, "2.0", None):
        published_set.reconfigure(src, lambda data, told=told: data.update(version=told))
        assert Importer.open(src).config.version == "2.5"
    published_set.reconfigure(src, lambda data: data.pop("version"))
    assert Importer.open(src).config.version == "2.5"
    assert Importer.open(support.CHECKPOINTS).config.version == "2.0"


def test_keys_that_the_version_ignores_may_hold_anything(src):
    def change(data):
        data["dataset"] = {"bpe_model": "bpe.model", "more": [1]}
        del data["vocoder"]

    published_set.reconfigure(src, change)
    assert Importer.open(src).config.version == "2.5"


def test_paths_of_another_machine_are_found_by_their_standard_names(src):
    def change(data):
        data["gpt_checkpoint"] = "/cluster/gpt/checkpoint_5000.pth"
        data["s2mel_checkpoint"] = "/cluster/s2mel/DiT_gptlatent_10000.pth"
        data["w2v_stat"] = "/cluster/stats.pt"
        data["spk_matrix"], data["emo_matrix"] = "/cluster/a.pt", "/cluster/b.pt"

    before = Importer.open(src)
    published_set.reconfigure(src, change)
    importer = Importer.open(src)
    assert importer.config == before.config
    assert importer.located.name("gpt") == "gpt.pth"
    assert importer.located.name("emo_matrix") == "feat2.pt"
    found = [note for note in importer.notes if note.startswith("config.yaml names")]
    assert len(found) == 5
    assert found[0] == ("config.yaml names /cluster/gpt/checkpoint_5000.pth (gpt): gpt.pth is read")


def test_a_name_that_is_missing_is_found_by_its_standard_name(src):
    published_set.reconfigure(src, lambda data: data.update(gpt_checkpoint="other.pth"))
    assert Importer.open(src).located.name("gpt") == "gpt.pth"


@pytest.mark.parametrize("name", ["codec.pth", RANKS, "gpt.pth", "s2mel.pth", "feat1.pt"])
def test_a_missing_file_is_named_with_the_repository(src, name):
    (src / name).unlink()
    message = refused(src, SourceError)
    assert f"missing: {name} (from IndexTeam/IndexTTS-2.5)" in message
    assert f"python -m indextts_jax.download --version 2.5 --dst {src}" in message


def test_weights_of_2_0_with_other_files_of_2_5_are_mixed(src):
    replaced(src, "gpt.pth", support.CHECKPOINTS)
    message = refused(src, SourceError)
    assert "mixes files of two versions: gpt.pth is IndexTTS-2's, " in message
    assert f"{RANKS} IndexTTS-2.5's, codec.pth IndexTTS-2.5's" in message


def test_the_tokenizer_of_2_0_among_files_of_2_5_is_named_as_not_read(src):
    replaced(src, "bpe.model", support.CHECKPOINTS)
    notes = Importer.open(src).notes
    assert f"bpe.model: not read: the tokenizer of IndexTTS-2.5 is {RANKS}" in notes


def test_weights_of_2_5_among_files_of_2_0_lack_their_codec_and_ranks(tmp_path):
    src = published_set.linked(tmp_path / "published")
    replaced(src, "gpt.pth", CHECKPOINTS)
    message = refused(src, SourceError)
    assert "missing: codec.pth (from IndexTeam/IndexTTS-2.5)" in message
    assert f"missing: {RANKS} (from IndexTeam/IndexTTS-2.5)" in message


def test_a_configuration_of_2_0_with_weights_of_2_5_is_named(src):
    replaced(src, "config.yaml", support.CHECKPOINTS)
    message = refused(src)
    assert (
        "config.yaml: gpt.number_text_tokens is 960, but gpt.pth (IndexTTS-2.5) has a table of "
        "2350 text tokens" in message
    )
    assert "\n" not in message  # what follows from it is left out


def test_a_configuration_of_2_5_with_weights_of_2_0_is_named(tmp_path):
    src = published_set.linked(tmp_path / "published")
    replaced(src, "config.yaml", CHECKPOINTS)
    message = refused(src, Exception)
    assert "missing key dataset" in message
    assert "gpt.pth is IndexTTS-2's, a config.yaml without dataset IndexTTS-2.5's" in message


def test_arrays_of_both_versions_in_one_file_are_refused(src):
    held = published_set.arrays("gpt.pth")
    both = Importer.open(CHECKPOINTS).tensors["gpt"]
    held["spk_emb_proj.weight"] = both["spk_emb_proj.weight"].read()
    published_set.replace(src, "gpt.pth", held)
    assert "arrays of several versions" in refused(src, SourceError)


@pytest.mark.parametrize("damage", ["cut", "gap", "empty", "text"])
def test_a_damaged_file_of_ranks_is_named(src, damage):
    lines = (CHECKPOINTS / RANKS).read_bytes().splitlines(keepends=True)
    data = {
        "cut": b"".join(lines)[:-3],
        "gap": b"".join(lines[:300] + lines[301:]),
        "empty": b"",
        "text": b"bpe\n",
    }[damage]
    (src / RANKS).unlink()
    (src / RANKS).write_bytes(data)
    assert f"{RANKS}: " in refused(src)


def test_fewer_ranks_than_the_model_has_tokens_are_named(src):
    lines = (CHECKPOINTS / RANKS).read_bytes().splitlines(keepends=True)
    (src / RANKS).unlink()
    (src / RANKS).write_bytes(b"".join(lines[:-1]))
    assert f"{RANKS} has 2348 ids (ranks and special tokens), but" in refused(src)


@pytest.mark.parametrize(("key", "value"), [("downsample_scale", 1), ("num_quantizers", 2)])
def test_a_codec_of_another_kind_is_refused(src, key, value):
    published_set.reconfigure(src, lambda data: data["semantic_codec"].update({key: value}))
    assert f"semantic_codec.{key} is {value}; only" in refused(src)


@pytest.mark.parametrize("section", ["gpt", "semantic_codec"])
def test_an_unknown_key_is_refused_with_the_version(src, section):
    published_set.reconfigure(src, lambda data: data[section].update(extra=1))
    message = refused(src, ValueError)
    assert f"unknown key {section}.extra" in message
    assert "gpt.pth is IndexTTS-2.5's" in message


def test_an_array_too_many_is_refused(src):
    arrays = {name: t.read() for name, t in Importer.open(src).tensors["gpt"].items()}
    published_set.replace(src, "gpt.pth", arrays | {"speed": np.zeros((2, 64), np.float32)})
    assert "unexpected: speed (2, 64)" in refused(src)


def test_the_text_head_is_kept_for_training(src):
    importer = Importer.open(src, training=True)
    head = importer.read("training_heads")["text_head"]
    given = importer.tensors["gpt"]
    np.testing.assert_array_equal(head["kernel"], given["text_head.weight"].read().T)
    np.testing.assert_array_equal(head["bias"], given["text_head.bias"].read())
