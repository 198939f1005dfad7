"""Published files as people have them: caches, shards, nested and prefixed arrays, empty files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import published_set
import pytest
import safetensors.numpy
import support
import yaml

from importers.release.layouts import root_of
from importers.release.locate import Located, locate, locate_config
from importers.release.settings import read_published
from importers.speech import Importer
from importers.table import ImportMismatch
from indextts_jax.errors import InputError

COMMIT, OTHER = "a" * 40, "b" * 40
AUXILIARY = {
    "w2v-bert-2.0": "facebook/w2v-bert-2.0",
    "semantic_codec": "amphion/MaskGCT",
    "campplus": "funasr/campplus",
    "bigvgan": "nvidia/bigvgan_v2_22khz_80band_256x",
}


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """The tiny published files, as links, in the directory `src`."""
    return published_set.linked(tmp_path / "src")


def opened(src: Path, **options: Any) -> Importer:
    return Importer.open(root_of(src).path, **options)


def located(src: Path) -> Located:
    """The published files, found but not read."""
    root = root_of(src).path
    published, _ = read_published(locate_config(root, {}))
    return locate(root, published, {})


def moved(src: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(src, target)
    return target


def snapshot(cache: Path, repository: str) -> Path:
    return cache / f"models--{repository.replace('/', '--')}" / "snapshots" / COMMIT


def hub_cache(src: Path, cache: Path) -> None:
    """A cache of `huggingface_hub` with all five repositories."""
    for name, repository in AUXILIARY.items():
        inner = "semantic_codec" if name == "semantic_codec" else "."
        place = snapshot(cache, repository) / inner
        moved(src / name, place)
    main = moved(src, snapshot(cache, "IndexTeam/IndexTTS-2"))
    (main.parents[1] / "refs").mkdir()
    (main.parents[1] / "refs" / "main").write_text(COMMIT + "\n")


@pytest.mark.parametrize("named", ["hub", "huggingface", "repository", "snapshot"])
def test_a_hub_cache_is_found(src: Path, tmp_path: Path, named: str) -> None:
    cache = tmp_path / "huggingface" / "hub"
    hub_cache(src, cache)
    main = snapshot(cache, "IndexTeam/IndexTTS-2")
    places = {
        "hub": cache,
        "huggingface": cache.parent,
        "repository": main.parents[1],
        "snapshot": main,
    }
    found = located(places[named])
    assert found.src == main
    assert any("campplus is read from" in note for note in found.notes)


def test_of_two_snapshots_the_one_of_main_is_used_and_noted(src: Path, tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    hub_cache(src, cache)
    main = snapshot(cache, "IndexTeam/IndexTTS-2")
    shutil.copytree(main, main.with_name(OTHER), symlinks=True)
    found = located(cache)
    assert found.src == main
    assert any(f"{COMMIT[:12]} is used, of several" in note for note in found.notes)
    (main.parents[1] / "refs" / "main").unlink()
    with pytest.raises(InputError, match=r"holds the model more than once .*name one with --src"):
        located(cache)


@pytest.mark.parametrize(
    ("main", "auxiliary"),
    [
        ("hub/IndexTeam/IndexTTS-2", "hub/{owner}/{escaped}"),  # ModelScope
        ("hub/models/IndexTeam/IndexTTS-2", "hub/models/{owner}/{escaped}"),
        ("models/IndexTTS-2", "models/{name}"),  # ComfyUI
        ("models/TTS/IndexTTS-2", "models/TTS/{name}"),
        ("IndexTTS-2", "IndexTTS-2/{name}"),
        ("IndexTTS-2", "{name}"),
    ],
)
def test_other_layouts_are_found(src: Path, tmp_path: Path, main: str, auxiliary: str) -> None:
    base = tmp_path / "base"
    for folder, repository in AUXILIARY.items():
        owner, name = repository.split("/")
        place = base / auxiliary.format(owner=owner, name=name, escaped=name.replace(".", "___"))
        inner = place / "semantic_codec" if folder == "semantic_codec" else place
        held = moved(src / folder, tmp_path / "held" / folder)
        inner.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(held, inner, symlinks=True)
    target = base / main
    target.mkdir(parents=True, exist_ok=True)
    for path in src.iterdir():
        shutil.move(path, target / path.name)
    for named in (target, base if base != target.parent.parent else target.parent):
        assert located(named).src == target


@pytest.mark.parametrize("times", [1, 3])
def test_arrays_in_several_files_are_read(src: Path, times: int) -> None:
    folder = src / "w2v-bert-2.0"
    arrays = published_set.arrays("w2v-bert-2.0/model.safetensors")
    names = list(arrays)
    (folder / "model.safetensors").unlink()
    places = {}
    for number in range(times):
        file = f"model-{number + 1:05}-of-{times:05}.safetensors"
        part = {name: np.asarray(arrays[name]) for name in names[number::times]}
        safetensors.numpy.save_file(part, folder / file)
        places |= dict.fromkeys(part, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    importer = opened(src)
    ours = importer.read("semantic_encoder")
    theirs = support.tiny_params("semantic_encoder")
    np.testing.assert_array_equal(ours["mean"], theirs["mean"])
    places.pop(names[0])
    index.write_text(json.dumps({"weight_map": places}))
    with pytest.raises(InputError, match=r"does not list .* in model-00001"):
        opened(src)
    (folder / f"model-{times:05}-of-{times:05}.safetensors").unlink()
    with pytest.raises(InputError, match=r"which model\.safetensors\.index"):
        opened(src)


WRAPPERS: list[Callable[[dict[str, Any]], Any]] = [
    lambda arrays: {"state_dict": arrays},
    lambda arrays: {"model_state_dict": arrays, "epoch": 3, "optimizer": {"lr": 0.1}},
    lambda arrays: {"model": {"model": arrays}},
    lambda arrays: {"epoch": 3, "weights": {"module." + k: v for k, v in arrays.items()}},
    lambda arrays: {"_orig_mod." + k: v for k, v in arrays.items()},
    lambda arrays: {"model." + k: v for k, v in arrays.items()},
    lambda arrays: {"module._orig_mod." + k: v for k, v in arrays.items()},
    lambda arrays: {"model": arrays, "ema": arrays},
    lambda arrays: {"state_dict": {"generator." + k: v for k, v in arrays.items()}},
]


@pytest.mark.parametrize("number", range(len(WRAPPERS)))
def test_nested_and_prefixed_arrays_are_read_and_noted(src: Path, number: int) -> None:
    name = "campplus/campplus_cn_common.bin" if number % 4 == 0 else "gpt.pth"
    wrapped = WRAPPERS[number](published_set.arrays(name))
    published_set.replace(src, name, wrapped)
    importer = opened(src)
    component, key = ("gpt", "gpt") if name == "gpt.pth" else ("style_encoder", "campplus")
    assert set(importer.plans[key].read) == set(support._importer().plans[key].read)
    assert importer.plan_of(component, key).read
    if (beside := set(wrapped) & {"epoch", "ema", "optimizer"}) and number != 3:
        assert any(f"{name}: not read: " in note for note in importer.notes)
        assert all(any(word in note for note in importer.notes) for word in beside)


@pytest.mark.parametrize("keys", [("a", "b"), ("x.y", "z")])
def test_weights_that_are_there_twice_are_refused(src: Path, keys: tuple[str, ...]) -> None:
    arrays = published_set.arrays("campplus/campplus_cn_common.bin")
    published_set.replace(src, "campplus/campplus_cn_common.bin", dict.fromkeys(keys, arrays))
    with pytest.raises(InputError, match="holds the weights more than once, under"):
        opened(src)


@pytest.mark.parametrize("prefix", ["ema."])
def test_many_more_arrays_are_one_problem_and_can_be_passed_over(src: Path, prefix: str) -> None:
    arrays = published_set.arrays("gpt.pth")
    more = {f"{prefix}{name}": array for name, array in arrays.items()}
    published_set.replace(src, "gpt.pth", arrays | more)
    with pytest.raises(ImportMismatch) as error:
        opened(src)
    (problem,) = error.value.problems
    assert f"unexpected: {len(more)} arrays under {prefix}, such as" in problem
    importer = opened(src, ignore=[prefix])
    assert importer.ignored == (prefix,)
    with pytest.raises(InputError, match="no array has this name"):
        opened(src, ignore=[prefix[:-1]])


EMPTY = ["bpe.model", "w2v-bert-2.0/config.json", "bigvgan/config.json", "config.yaml"]
EMPTY += ["w2v-bert-2.0/preprocessor_config.json", "feat1.pt", "gpt.pth", "semantic_codec/"]


@pytest.mark.parametrize("number", range(len(EMPTY)))
def test_an_empty_side_file_is_refused(src: Path, number: int) -> None:
    name, content = EMPTY[number], (b"{}", b"", b"\n")[number % 3]
    path = src / (f"{name}model.safetensors" if name.endswith("/") else name)
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(InputError):
        opened(src)


def tokenizer(pieces: int) -> bytes:
    """A SentencePiece model of so many pieces: that of the tiny set, cut."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    model = proto.ModelProto()
    model.ParseFromString((support.CHECKPOINTS / "bpe.model").read_bytes())
    del model.pieces[pieces:]
    data: bytes = model.SerializeToString()
    return data


@pytest.mark.parametrize("pieces", [959, 4])
def test_a_tokenizer_with_too_few_pieces_is_refused(src: Path, pieces: int) -> None:
    try:
        data = tokenizer(pieces)
    except ImportError:
        pytest.skip("protobuf is not installed")
    (src / "bpe.model").unlink()
    (src / "bpe.model").write_bytes(data)
    with pytest.raises(InputError, match=rf"only {pieces} pieces, but gpt.number_text_tokens is"):
        opened(src)


SIZES = [
    "gpt.model_dim", "gpt.condition_module.num_blocks", "gpt.layers", "gpt.max_mel_tokens",
    "semantic_codec.vocos_num_layers", "s2mel.DiT.depth", "s2mel.wavenet.dilation_rate",
    "s2mel.wavenet.num_layers",
]  # fmt: skip


@pytest.mark.parametrize("key", SIZES)
def test_a_size_that_no_file_can_have_is_refused_at_once(src: Path, key: str) -> None:
    size = (10**9, 10**18, 30_000)[SIZES.index(key) % 3]

    def change(data: dict[str, Any]) -> None:
        *parents, last = key.split(".")
        for parent in parents:
            data = data[parent]
        data[last] = size

    published_set.reconfigure(src, change)
    with pytest.raises(InputError):
        opened(src)


def test_a_size_of_400_digits_is_refused_in_one_line(src: Path) -> None:
    published_set.reconfigure(src, lambda data: data["gpt"].update(layers=10**400))
    with pytest.raises(InputError, match="the size layers is beyond 1e300: expected at most"):
        opened(src)


def test_the_example_of_a_billion_layers_is_refused_at_once(src: Path) -> None:
    (src / "config.yaml").unlink()
    shutil.copy(support.DATA / "files" / "config_layers_1e9.yaml", src / "config.yaml")
    with pytest.raises(InputError, match="the size layers is 1000000000: expected at most"):
        opened(src)
    assert yaml.safe_load((src / "config.yaml").read_text())["gpt"]["layers"] == 10**9
