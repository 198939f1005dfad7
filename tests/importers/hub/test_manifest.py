"""The list of published files: it agrees with the importer, and with the files at hand."""

import hashlib
from pathlib import Path

import pytest
import support

from importers.hub.manifest import FILES, REPOSITORIES, TEXT_EMOTION, notices, wanted
from importers.release.locate import AUXILIARY, FEATURES, locate
from importers.release.settings import read_published


def test_the_importer_finds_every_file_where_it_is_put(tmp_path: Path) -> None:
    for file in FILES:
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).write_text(file.path)
    published, _ = read_published(support.CHECKPOINTS / "config.yaml")
    located = locate(tmp_path, published, {})
    found = {path.relative_to(tmp_path).as_posix() for path in located.files.values()}
    assert found >= {file.path for file in wanted((TEXT_EMOTION,))}
    assert FEATURES in located.files


@pytest.mark.parametrize("key", AUXILIARY)
def test_auxiliary_models_match_the_importer(key: str) -> None:
    auxiliary = AUXILIARY[key]
    names = {file.name for file in FILES if file.repository == auxiliary.repository}
    assert names >= {auxiliary.weights, *auxiliary.beside}


def test_names_and_places_are_unique_and_do_not_climb() -> None:
    for names in ([file.path for file in FILES], [(f.repository, f.name) for f in FILES]):
        assert len(set(names)) == len(names)
    for file in FILES:
        assert not {"..", ""} & set(file.path.split("/"))


def test_hashes_are_whole_and_come_with_sizes() -> None:
    for file in FILES:
        if file.sha256 is not None:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.size is not None
        assert file.size is None or file.about is None


def test_every_repository_has_a_licence_that_is_shown() -> None:
    assert {file.repository for file in FILES} == {entry.name for entry in REPOSITORIES}
    shown = notices(FILES)
    for entry in REPOSITORIES:
        assert f"{entry.name} " in shown
        assert entry.licence in shown


@pytest.mark.parametrize("file", [file for file in FILES if file.sha256], ids=lambda f: f.path)
def test_sizes_and_hashes_are_those_of_the_published_files(file) -> None:
    content = support.real(file.path).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
