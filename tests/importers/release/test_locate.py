"""Where published files are looked for: all layouts; twice is an error, what is missing a list."""

import dataclasses
import itertools
import re
import shutil
from pathlib import Path

import pytest
import support

from importers.formats.tensors import SourceError
from importers.release.locate import AUXILIARY, FEATURES, locate, locate_config
from importers.release.settings import read_published

PUBLISHED, _ = read_published(support.CHECKPOINTS / "config.yaml")
MAIN = ["bpe.model", "gpt.pth", "s2mel.pth", "wav2vec2bert_stats.pt", "feat1.pt", "feat2.pt"]
SNAPSHOT = "hf_cache/models--{}/snapshots/0123abcd/"
LAYOUTS = {
    "published": [
        "hf_cache/w2v-bert-2.0/model.safetensors",
        "hf_cache/w2v-bert-2.0/config.json",
        "hf_cache/semantic_codec_model.safetensors",
        "hf_cache/campplus_cn_common.bin",
        "hf_cache/bigvgan/bigvgan_generator.pt",
        "hf_cache/bigvgan/config.json",
    ],
    "folders": [
        "w2v-bert-2.0/model.safetensors",
        "w2v-bert-2.0/config.json",
        "semantic_codec/model.safetensors",
        "campplus/campplus_cn_common.bin",
        "bigvgan/bigvgan_generator.pt",
        "bigvgan/config.json",
    ],
    "cache": [
        SNAPSHOT.format("facebook--w2v-bert-2.0") + "model.safetensors",
        SNAPSHOT.format("facebook--w2v-bert-2.0") + "config.json",
        SNAPSHOT.format("amphion--MaskGCT") + "semantic_codec/model.safetensors",
        SNAPSHOT.format("funasr--campplus") + "campplus_cn_common.bin",
        SNAPSHOT.format("nvidia--bigvgan_v2_22khz_80band_256x") + "bigvgan_generator.pt",
        SNAPSHOT.format("nvidia--bigvgan_v2_22khz_80band_256x") + "config.json",
    ],
}


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


@pytest.fixture
def src(tmp_path):
    touch(tmp_path, "config.yaml", *MAIN)
    return tmp_path


def refused(src, *matches, published=PUBLISHED, **flags):
    with pytest.raises(SourceError) as caught:
        locate(src, published, flags)
    for match in matches:
        assert match in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_found(src, layout):
    touch(src, *LAYOUTS[layout])
    located = locate(src, PUBLISHED, {})
    for name, place in zip(
        ["w2v_bert", "w2v_bert_config", "semantic_codec", "campplus", "bigvgan", "bigvgan_config"],
        LAYOUTS[layout],
        strict=True,
    ):
        assert located.files[name] == src / place
        assert located.name(name) == place
    assert located.files["tokenizer"] == src / "bpe.model"
    assert located.files["spk_matrix"] == src / "feat1.pt"
    assert located.files["emo_matrix"] == src / "feat2.pt"


def test_layouts_may_be_mixed(src):
    touch(src, *LAYOUTS["published"][:3], *LAYOUTS["cache"][3:4], *LAYOUTS["folders"][4:])
    assert locate(src, PUBLISHED, {}).name("campplus") == LAYOUTS["cache"][3]


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(LAYOUTS, 2)))
def test_a_file_in_two_places_names_both(src, first, second):
    touch(src, *LAYOUTS[first], LAYOUTS[second][3])
    refused(src, "found twice", LAYOUTS[first][3], LAYOUTS[second][3])


@pytest.mark.parametrize("name", ["gpt.pth", "s2mel.pth", "feat1.pt", "wav2vec2bert_stats.pt"])
def test_safetensors_are_accepted_and_both_are_an_error(src, name):
    touch(src, *LAYOUTS["folders"])
    safe = Path(name).with_suffix(".safetensors").name
    touch(src, safe)
    refused(src, f"found twice: {src / name} and {src / safe}")
    (src / name).unlink()
    assert src / safe in locate(src, PUBLISHED, {}).files.values()


def test_auxiliary_models_may_be_safetensors(src):
    ending = re.compile(r"\.(pt|bin)$")
    names = [ending.sub(".safetensors", place) for place in LAYOUTS["published"]]
    touch(src, *names)
    assert (
        locate(src, PUBLISHED, {}).name("bigvgan")
        == "hf_cache/bigvgan/bigvgan_generator.safetensors"
    )


def test_one_file_under_two_names_is_one(src):
    touch(src, *LAYOUTS["published"])
    (src / "campplus").mkdir()
    (src / "campplus/campplus_cn_common.bin").symlink_to(src / LAYOUTS["published"][3])
    assert locate(src, PUBLISHED, {}).name("campplus") == LAYOUTS["published"][3]


def test_the_cache_takes_the_commit_of_its_main_branch(src):
    touch(src, *LAYOUTS["cache"])
    other = LAYOUTS["cache"][3].replace("0123abcd", "4567")
    touch(src, other)
    refused(src, "found twice", "0123abcd", "4567")
    touch(src, "hf_cache/models--funasr--campplus/refs/main")
    (src / "hf_cache/models--funasr--campplus/refs/main").write_text("4567\n")
    assert locate(src, PUBLISHED, {}).name("campplus") == other


def test_everything_missing_is_listed_once_with_the_command(tmp_path):
    touch(tmp_path, "config.yaml")
    message = refused(tmp_path)
    for name in MAIN:
        assert f"missing: {name} (from IndexTeam/IndexTTS-2)\n" in message
    for auxiliary in AUXILIARY.values():
        of = f"{auxiliary.weights} of {auxiliary.repository}"
        elsewhere = f"if it is elsewhere, give its path with --{auxiliary.flag}"
        assert f"missing: {auxiliary.places[0]} ({of}; {elsewhere})\n" in message
    _first, *lines, last = message.splitlines()
    assert len(lines) == len(MAIN) + len(AUXILIARY)
    assert last.endswith(f" published files with: python -m indextts_jax.download --dst {tmp_path}")


def test_one_missing_file_is_one_line_with_the_command(src):
    touch(src, *LAYOUTS["published"])
    (src / "gpt.pth").unlink()
    message = refused(src, "missing: gpt.pth", f"indextts_jax.download --dst {src}")
    assert len(message.splitlines()) == 1


def test_missing_settings_beside_weights_are_reported(src):
    touch(src, *LAYOUTS["published"])
    (src / "hf_cache/bigvgan/config.json").unlink()
    refused(src, f"missing: {src}/hf_cache/bigvgan/config.json", "indextts_jax.download")


@pytest.mark.parametrize("named", ["file", "folder"])
def test_flags_give_files_or_directories_and_take_precedence(src, tmp_path_factory, named):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    touch(src, *LAYOUTS["published"], *LAYOUTS["folders"])
    touch(elsewhere, *LAYOUTS["folders"])
    places = {"w2v_bert": 0, "semantic_codec": 2, "campplus": 3, "bigvgan": 4}
    files = {name: elsewhere / LAYOUTS["folders"][i] for name, i in places.items()}
    flags = {name: str(file if named == "file" else file.parent) for name, file in files.items()}
    located = locate(src, PUBLISHED, flags)
    assert {name: located.files[name] for name in files} == files
    assert located.files["bigvgan_config"] == elsewhere / "bigvgan/config.json"
    assert located.name("campplus") == str(files["campplus"])


def test_flag_with_a_missing_path_is_reported(src):
    touch(src, *LAYOUTS["published"])
    message = refused(src, "missing: --campplus /none: no such file", campplus="/none")
    assert "download" not in message  # which would not bring it there


def test_paths_of_another_machine_are_taken_by_their_name(src):
    touch(src, *LAYOUTS["published"])
    for path in ("/data/train/gpt.pth", "C:\\train\\gpt.pth"):
        published = dataclasses.replace(PUBLISHED, gpt_checkpoint=path)
        assert locate(src, published, {}).name("gpt") == "gpt.pth"


@pytest.mark.parametrize("path", ["../gpt.pth", "a/../../gpt.pth", "..\\gpt.pth", ""])
def test_names_that_climb_are_refused(src, path):
    touch(src, *LAYOUTS["published"])
    published = dataclasses.replace(PUBLISHED, gpt_checkpoint=path)
    refused(src, f"config.yaml: {path!r} is outside the directory", published=published)


def test_missing_configuration_explains_what_to_do(tmp_path):
    for path, match in [
        (tmp_path / "none", f"does not exist; .*download --dst {tmp_path}/none"),
        (tmp_path, "has no config.yaml"),
    ]:
        with pytest.raises(SourceError, match=match):
            locate_config(path, {})
    shutil.copy(__file__, tmp_path / "file")
    with pytest.raises(SourceError, match="is not a directory"):
        locate_config(tmp_path / "file", {})


def test_missing_configuration_lists_auxiliary_models_too(tmp_path):
    touch(tmp_path, *LAYOUTS["published"])
    (tmp_path / LAYOUTS["published"][3]).unlink()
    with pytest.raises(SourceError) as caught:
        locate_config(tmp_path, {"bigvgan": "/none"})
    for match in ("has no config.yaml", "missing: hf_cache/campplus", "--bigvgan /none"):
        assert match in str(caught.value)
    assert len(str(caught.value).splitlines()) == 5


def test_the_path_in_the_command_is_quoted(tmp_path):
    touch(tmp_path / "my files", "config.yaml")
    refused(tmp_path / "my files", f"indextts_jax.download --dst '{tmp_path}/my files'")


def test_a_flag_is_named_only_where_there_is_one(src):
    touch(src, *LAYOUTS["folders"], LAYOUTS["published"][3], "gpt.safetensors")
    told = refused(src).splitlines()
    assert any(line.endswith("remove one, or name it with --campplus") for line in told)
    assert any("gpt.pth" in line and line.endswith("; remove one") for line in told)


def test_settings_of_the_features_are_optional(src):
    touch(src, *LAYOUTS["published"])
    assert FEATURES not in locate(src, PUBLISHED, {}).files
    touch(src, "hf_cache/w2v-bert-2.0/preprocessor_config.json")
    located = locate(src, PUBLISHED, {})
    assert located.name(FEATURES) == "hf_cache/w2v-bert-2.0/preprocessor_config.json"
