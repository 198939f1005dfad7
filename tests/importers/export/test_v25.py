"""The export of IndexTTS-2.5: its own files read backwards, and its settings."""

import functools

import numpy as np
import pytest
import support
import yaml

from importers import table
from importers.export import settings
from importers.export.blanks import BLANKS
from importers.export.unapply import fills, unapply
from importers.release.files import CONTENTS
from importers.release.locate import LAYOUTS
from importers.release.settings import SCHEMAS
from importers.rules import Rule
from importers.speech import Importer
from importers.table import Row, flatten
from indextts_jax.config import bundled_config
from indextts_jax.utils.strict_data import from_data, to_data

OWN = ("gpt", "semantic_codec", "s2mel")  # files that version 2 has not, or has in another form
FILES = CONTENTS["2.5"].training


@functools.cache
def importer() -> Importer:
    return Importer.open(support.DATA / "tiny25/checkpoints", training=True)


@pytest.mark.parametrize("file", OWN)
def test_import_of_the_export_is_what_was_exported(file: str) -> None:
    plan, tensors = importer().plans[file], importer().tensors[file]
    params = {name: importer().read(name) for name in FILES[file].components}
    rows = FILES[file].rows(importer().config)
    made = unapply(fills(rows, importer().expected[file]), params)
    assert set(made) == set(plan.read)
    again = table.read(plan, {**tensors, **made}, importer().expected[file], file=file)
    for path, array in flatten(again).items():
        np.testing.assert_array_equal(array, flatten(params)[path])
    back = unapply(plan.fills, params, tensors)
    assert all(back[name] is tensors[name] for name in back)


def test_every_row_has_an_inverse() -> None:
    config = bundled_config("indextts2_5")
    for file in FILES:
        rows = [row for row in FILES[file].rows(config) if isinstance(row, Row)]
        assert all(isinstance(row.transform, Rule) for row in rows)
    assert set(BLANKS["2.5"]) <= set(FILES)


@pytest.mark.parametrize(("version", "name"), [("2.0", "indextts2"), ("2.5", "indextts2_5")])
def test_published_settings_are_those_that_the_import_reads(version: str, name: str) -> None:
    config = bundled_config(name)
    written = yaml.safe_load(yaml.safe_dump(settings.published(config)))
    read = from_data(SCHEMAS[version], written)
    assert ("dataset" in written) == (version == "2.0")
    assert read.gpt.number_text_tokens + 1 == config.gpt.text_vocabulary
    assert read.mel() == config.mel
    data = to_data(read)
    assert not [problem for check in CONTENTS[version].check_settings for problem in check(data)]


@pytest.mark.parametrize("version", LAYOUTS)
def test_files_are_written_where_the_import_looks_first(version: str) -> None:
    places = settings.files(version)
    assert set(places) == {"tokenizer", *CONTENTS[version].files}
    for name, place in LAYOUTS[version].fixed.items():
        assert places[name] == place
