"""The list of published files: it agrees with the importer, and with the files at hand."""

import hashlib
from pathlib import Path

import pytest
import support

from importers.hub.manifest import FILES, REPOSITORIES, TEXT_EMOTION, files_of, notices, wanted
from importers.release.locate import AUXILIARY, FEATURES, LAYOUTS, locate
from importers.release.settings import read_published

SETS = {"2.0": "tiny", "2.5": "tiny25"}
VERSIONS = pytest.mark.parametrize("version", LAYOUTS)


@VERSIONS
def test_the_importer_finds_every_file_where_it_is_put(version: str, tmp_path: Path) -> None:
    for file in files_of(version):
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).write_text(file.path)
    settings = support.DATA / SETS[version] / "checkpoints/config.yaml"
    published, _ = read_published(settings, version=version)
    located = locate(tmp_path, published, {}, version)
    found = {path.relative_to(tmp_path).as_posix() for path in located.files.values()}
    assert found == {file.path for file in wanted((TEXT_EMOTION,), version)}
    assert FEATURES in located.files


@pytest.mark.parametrize("key", AUXILIARY)
def test_auxiliary_models_match_the_importer(key: str) -> None:
    auxiliary = AUXILIARY[key]
    names = {file.name for file in FILES if file.repository == auxiliary.repository}
    assert names >= {auxiliary.weights, *auxiliary.beside}


@VERSIONS
def test_names_and_places_are_unique_and_do_not_climb(version: str) -> None:
    files = files_of(version)
    for names in ([file.path for file in files], [(f.repository, f.name) for f in files]):
        assert len(set(names)) == len(names)
    for file in files:
        assert not {"..", ""} & set(file.path.split("/"))


@VERSIONS
def test_hashes_are_whole_and_come_with_sizes(version: str) -> None:
    for file in files_of(version):
        if file.sha256 is not None:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.size is not None
        assert file.size is None or file.about is None


def test_every_repository_has_a_licence_that_is_shown() -> None:
    files = [file for version in LAYOUTS for file in files_of(version)]
    assert {file.repository for file in files} == {entry.name for entry in REPOSITORIES}
    shown = notices(tuple(files))
    for entry in REPOSITORIES:
        assert f"{entry.name} " in shown
        assert entry.licence in shown


@pytest.mark.parametrize("file", [file for file in FILES if file.sha256], ids=lambda f: f.path)
def test_sizes_and_hashes_are_those_of_the_published_files(file) -> None:
    content = support.real(file.path).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
