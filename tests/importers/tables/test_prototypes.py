import numpy as np
import pytest
import support
import yaml

from importers.formats.tensors import BARE, open_tensors
from importers.sizes import resolve
from importers.table import ImportMismatch, apply, plan
from importers.tables import prototypes
from indextts_jax.config import EmotionPrototypesConfig, bundled_config
from indextts_jax.models.components import structure
from indextts_jax.utils.strict_data import from_data

FILES = (("feat1.pt", "speaker", prototypes.SPEAKER), ("feat2.pt", "emotion", prototypes.EMOTION))


class Published:
    """A tensor of a published file of which only name, shape and dtype are known."""

    def __init__(self, *shape):
        self.shape, self.dtype = shape, np.dtype(np.float32)


def published():
    return Published(73, 192), Published(73, 1280)


def test_the_published_files_fill_the_component():
    expected = structure("emotion_prototypes", bundled_config("indextts2")).expected
    filled = set()
    for (file, part, table), tensor in zip(FILES, published(), strict=True):
        found = plan(table, {BARE: tensor}, {part: expected[part]}, file=file)
        assert found.read == (BARE,)
        assert not found.dropped
        filled.add(part)

    assert filled == set(expected)


@pytest.mark.parametrize(("file", "part", "table"), FILES)
def test_a_matrix_of_other_rows_is_refused(file, part, table):
    expected = structure("emotion_prototypes", bundled_config("indextts2")).expected
    tensors = {BARE: Published(72, expected[part].shape[1])}

    with pytest.raises(ImportMismatch, match=rf"shape of {part}: checkpoint \(72, "):
        plan(table, tensors, {part: expected[part]}, file=file)


def test_each_matrix_whose_rows_are_not_those_of_the_groups_is_named():
    groups = bundled_config("indextts2").emotion_prototypes.groups
    speaker, emotion = published()

    assert prototypes.check_rows(groups, speaker, emotion) == []
    assert prototypes.check_rows(groups, Published(72, 192), emotion) == [
        "emo_num sums to 73 rows, but the speaker matrix is (72, 192)"
    ]
    assert len(prototypes.check_rows((*groups, 1), speaker, emotion)) == 2
    assert len(prototypes.check_rows(groups, speaker, Published(73))) == 1


def test_the_sizes_of_the_tiny_set():
    settings = yaml.safe_load((support.CHECKPOINTS / "config.yaml").read_text(encoding="utf-8"))
    values = resolve(prototypes.SIZES, settings, {}, file="config.yaml")
    config = from_data(EmotionPrototypesConfig, values)

    assert config == bundled_config("tiny").emotion_prototypes


def test_the_published_matrices_and_sizes():
    settings = yaml.safe_load(support.real("config.yaml").read_text(encoding="utf-8"))
    values = resolve(prototypes.SIZES, settings, {}, file="config.yaml")
    config = from_data(EmotionPrototypesConfig, values)
    assert config == bundled_config("indextts2").emotion_prototypes

    expected = structure("emotion_prototypes", bundled_config("indextts2")).expected
    tensors = [open_tensors(support.real(file), bare=True) for file, _, _ in FILES]
    assert prototypes.check_rows(config.groups, *(t[BARE] for t in tensors)) == []
    for (file, part, table), matrix in zip(FILES, tensors, strict=True):
        params = apply(table, matrix, {part: expected[part]}, file=file)
        assert np.std(params[part]) > 0
