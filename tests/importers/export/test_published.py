"""The published folder of a checkpoint, with a base and without."""

import dataclasses
import filecmp
import json
from pathlib import Path
from typing import Any

import golden_copies
import jax
import numpy as np
import published_set
import pytest
import safetensors.numpy
import support
import yaml

from importers.export import library
from importers.export.library import ExportOptions
from importers.export.source import open_source
from importers.formats.shards import open_shards
from importers.formats.tensors import open_tensors
from importers.library import import_checkpoint
from importers.speech import Importer
from importers.table import flatten
from indextts_jax.checkpoint import writing
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS, structure
from indextts_jax.utils import hashing
from tools.make.pieces import padded

SMALL = "emotion_prototypes"  # the component of the fewest numbers


def saved(path: Path, params: dict[str, Any], config: ModelConfig | None = None) -> Path:
    """A checkpoint of some components, as if imported from the tiny set."""
    config = config or support.tiny_config()
    tokenizer = (support.CHECKPOINTS / "bpe.model").read_bytes()
    writing.save(
        path,
        config=config,
        tokenizer=padded(tokenizer, config.gpt.text_vocabulary - 1),
        components=params.items(),
        sources=[hashing.hash_file(support.CHECKPOINTS / "gpt.pth")],
    )
    return path


def published(checkpoint: Path, dst: Path, base: Path | None, **more: Any) -> library.Exported:
    options = ExportOptions(to="published", dst=dst, base=base, **more)
    return library.export(open_source(checkpoint), options)


def files_below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A checkpoint of one component that differs from the tiny set's in one array."""
    params = dict(support.tiny_params(SMALL))
    params["speaker"] = params["speaker"] + 1
    return saved(tmp_path_factory.mktemp("changed") / "model", {SMALL: params})


def test_a_head_that_no_file_has_is_left_out_and_listed(tmp_path):
    zeros = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, np.float32),
        structure("ctc_head", support.tiny_config()).expected,
    )
    params = {SMALL: support.tiny_params(SMALL), "ctc_head": zeros}
    done = published(saved(tmp_path / "model", params), tmp_path / "out", support.CHECKPOINTS)
    assert {file.name: file.note for file in done.files if file.note} == {
        "ctc_head": "left out: there is no published file for it"
    }
    names = files_below(support.CHECKPOINTS)
    assert files_below(tmp_path / "out") == sorted([*names, library.RECORD])


def test_only_changed_files_are_rewritten(changed, tmp_path):
    done = published(changed, tmp_path / "out", support.CHECKPOINTS)
    names = files_below(support.CHECKPOINTS)
    assert files_below(tmp_path / "out") == sorted([*names, library.RECORD])
    equal, _, _ = filecmp.cmpfiles(support.CHECKPOINTS, tmp_path / "out", names, shallow=False)
    assert set(names) - set(equal) == {"feat1.pt"}
    assert {file.name for file in done.files if file.written} == {"feat1.pt"}
    ours = open_tensors(tmp_path / "out/feat1.pt", bare=True)["tensor"].read()
    np.testing.assert_array_equal(ours, support.tiny_params(SMALL)["speaker"] + 1)
    assert "feat1.pt: the base's file is not the one" in str(done)
    assert "licence: made from the published IndexTTS weights" in str(done)


def test_nothing_is_left_of_an_export_that_fails(changed, tmp_path):
    base = published_set.linked(tmp_path / "base")
    (base / "feat2.pt").unlink()
    with pytest.raises(InputError, match=r"missing: feat2\.pt"):
        published(changed, tmp_path / "out", base)
    assert list(tmp_path.iterdir()) == [base]


@pytest.mark.nightly
def test_a_base_of_other_sizes_is_refused_with_both(changed, tmp_path):
    with pytest.raises(InputError, match=r"gpt\.width is 64, but 30 in the base"):
        published(changed, tmp_path / "out", support.DATA / "second/checkpoints")


@pytest.mark.nightly
def test_an_export_is_replaced_with_force_alone(changed, tmp_path):
    published(changed, tmp_path / "out", support.CHECKPOINTS)
    with pytest.raises(InputError, match="exists already"):
        published(changed, tmp_path / "out", support.CHECKPOINTS)
    published(changed, tmp_path / "out", support.CHECKPOINTS, force=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.txt").touch()
    with pytest.raises(InputError, match="is not replaced"):
        published(changed, tmp_path / "mine", support.CHECKPOINTS, force=True)


@pytest.mark.parametrize("extra", ["notes.txt", "bigvgan/mine.pt"])
def test_an_export_with_something_else_in_it_is_not_replaced(changed, tmp_path, extra):
    published(changed, tmp_path / "out", support.CHECKPOINTS)
    (tmp_path / "out" / extra).write_text("mine")
    with pytest.raises(InputError, match=f"is an export, but also holds {extra}"):
        published(changed, tmp_path / "out", support.CHECKPOINTS, force=True)
    assert (tmp_path / "out" / extra).read_text() == "mine"


def in_shards(folder, name, count=2):
    """A published file of a linked directory in several `.safetensors` files, with an index."""
    held = published_set.arrays(name)
    stem = name.rpartition("/")[2].partition(".")[0]
    (folder / name).unlink()
    places = {}
    for number in range(count):
        part = {key: held[key] for key in list(held)[number::count]}
        place = f"{stem}-{number + 1}-of-{count}.safetensors"
        safetensors.numpy.save_file(part, (folder / name).parent / place)
        places |= dict.fromkeys(part, place)
    index = (folder / name).with_name(f"{stem}.safetensors.index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index.relative_to(folder), sorted(set(places.values()))


def test_files_of_an_index_are_copied_with_it(changed, tmp_path):
    base = published_set.linked(tmp_path / "base")
    index, shards = in_shards(base, "gpt.pth")
    published(changed, tmp_path / "out", base)

    for name in (index, *shards):
        assert filecmp.cmp(base / name, tmp_path / "out" / name, shallow=False)


def test_changed_file_of_an_index_is_written_in_the_same_files(tmp_path):
    params = jax.tree.map(np.array, dict(support.tiny_params("gpt")))
    params["code_head"]["bias"] = params["code_head"]["bias"] + 1
    base = published_set.linked(tmp_path / "base")
    index, shards = in_shards(base, "gpt.pth")
    published(saved(tmp_path / "model", {"gpt": params}), tmp_path / "out", base)

    assert [filecmp.cmp(base / n, tmp_path / "out" / n, shallow=False) for n in shards].count(
        False
    ) == 1
    ours, theirs = (open_shards(folder / index) for folder in (tmp_path / "out", base))
    assert set(ours) == set(theirs)
    np.testing.assert_array_equal(ours["mel_head.bias"].read(), theirs["mel_head.bias"].read() + 1)


def test_without_a_base_all_components_are_needed(changed, tmp_path):
    with pytest.raises(InputError, match=r"has no semantic_encoder, .*: give a base"):
        published(changed, tmp_path / "out", None)


def test_notices_of_the_base_are_copied(changed, tmp_path):
    base = published_set.linked(tmp_path / "base")
    (base / "INDEX_MODEL_LICENSE_EN.txt").write_text("terms")
    published(changed, tmp_path / "out", base)
    assert (tmp_path / "out/INDEX_MODEL_LICENSE_EN.txt").read_text() == "terms"


@pytest.mark.nightly
def test_more_text_tokens_change_the_settings_and_the_head(tmp_path):
    """A tokenizer that was extended by 5 pieces."""
    config = support.tiny_config()
    rows = config.gpt.text_vocabulary
    section = dataclasses.replace(config.gpt, text_vocabulary=rows + 5)
    params = jax.tree.map(np.asarray, support.tiny_params("gpt"))
    old = params["text_embedding"]["embedding"]
    more = np.ones((5, old.shape[1]), np.float32)
    params = {**params, "text_embedding": {"embedding": np.concatenate([old, more])}}
    grown = dataclasses.replace(config, gpt=section)
    checkpoint = saved(tmp_path / "model", {"gpt": params}, grown)
    done = published(checkpoint, tmp_path / "out", support.CHECKPOINTS)
    assert "text_head: 5 new rows are zeros" in str(done)
    before, after = (
        yaml.safe_load((folder / "config.yaml").read_text())
        for folder in (support.CHECKPOINTS, tmp_path / "out")
    )
    assert after["gpt"].pop("number_text_tokens") == rows + 4
    assert before["gpt"].pop("number_text_tokens") == rows - 1
    assert before == after
    again = Importer.open(tmp_path / "out")
    assert again.config == grown
    np.testing.assert_array_equal(
        again.read("gpt")["text_embedding"]["embedding"], params["text_embedding"]["embedding"]
    )
    head = again.tensors["gpt"]["text_head.weight"].read()
    np.testing.assert_array_equal(head[rows:], 0)


SETS = ("tiny", "second")


@pytest.fixture(scope="module", params=SETS)
def whole(request, tmp_path_factory):
    """A set's published files, and its checkpoint."""
    src = support.DATA / request.param / "checkpoints"
    if request.param == "tiny":
        return src, golden_copies.shared()
    target = tmp_path_factory.mktemp("whole") / "model"
    import_checkpoint(src, target)
    return src, target


@pytest.mark.nightly
def test_an_untouched_checkpoint_gives_back_every_file(whole, tmp_path):
    src, checkpoint = whole
    done = published(checkpoint, tmp_path / "out", src)
    names = files_below(src)
    assert files_below(tmp_path / "out") == sorted([*names, library.RECORD])
    assert not any(file.written for file in done.files)
    assert filecmp.cmpfiles(src, tmp_path / "out", names, shallow=False)[0] == names


@pytest.mark.nightly
def test_import_of_an_export_without_a_base_is_the_checkpoint(whole, tmp_path):
    src, checkpoint = whole
    done = published(checkpoint, tmp_path / "out", None)
    assert "gpt.pth: zeros: text_head.weight, text_head.bias" in str(done)
    before = open_checkpoint(checkpoint)
    again = Importer.open(tmp_path / "out")
    assert again.config == before.config
    published_names = Importer.open(src)
    for file, tensors in again.tensors.items():
        theirs = published_names.tensors[file]
        # The layers past those that are used are not needed, and no other array is missing.
        missing = [name for name in theirs if name not in tensors]
        assert all(file == "w2v_bert" and ".layers." in name for name in missing)
        assert not [name for name in tensors if name not in theirs]
        odd = ("embedding.weight", "cond_embedder.weight")  # of discrete content, read by nobody
        assert not [
            name
            for name in tensors
            if tensors[name].shape != theirs[name].shape and not name.endswith(odd)
        ]
    for component in COMPONENTS:
        ours = flatten(before.load([component])[component])
        for path, array in flatten(again.read(component)).items():
            np.testing.assert_array_max_ulp(array, np.asarray(ours[path]), 1)
