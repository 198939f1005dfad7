"""Prepared data: what is written comes back, and nothing else is taken for it."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import support
from speech_sets import row

from indextts_jax.errors import InputError
from indextts_jax.training.data.index import DataSettings
from indextts_jax.training.data.prepared import (
    Prepared,
    Writer,
    create,
    extend,
)


def some(folder: Path, count: int = 3, settings: DataSettings | None = None) -> Prepared:
    writer = create(folder, settings)
    for number in range(count):
        text = np.arange(number + 1, dtype=np.int32)
        writer.add(row(number), {"text": text, "emotion": np.full(4, number, np.float32)})
    return writer.close()


def test_rows_and_features_come_back(tmp_path: Path) -> None:
    settings = DataSettings(tokenizer="abc", components=("gpt=1",), own_prompts=True)
    some(tmp_path, settings=settings)
    data = Prepared.open(tmp_path)
    assert data.settings == settings
    assert data.rows == tuple(row(number) for number in range(3))
    np.testing.assert_array_equal(data.read(data.rows[2], "text"), [0, 1, 2])
    np.testing.assert_array_equal(data.read(data.rows[2], "emotion"), [2, 2, 2, 2])


def test_a_missing_feature_names_itself_and_the_way_to_it(tmp_path: Path) -> None:
    data = some(tmp_path)
    with pytest.raises(InputError, match=r"no feature mel of clip r0 .*emotion, text.* --for"):
        data.read(data.rows[0], "mel")
    assert not data.has(data.rows[0], "mel")


def test_the_digest_is_of_what_is_read_and_not_of_where_it_is(tmp_path: Path) -> None:
    one = some(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert Prepared.open(tmp_path / "b").digest == one.digest
    moved = [dataclasses.replace(r, audio="elsewhere.wav") for r in one.rows]
    assert dataclasses.replace(one, rows=tuple(moved)).digest == one.digest
    assert some(tmp_path / "c", 2).digest != one.digest
    assert some(tmp_path / "d", settings=DataSettings(tokenizer="x")).digest != one.digest
    held = tuple(dataclasses.replace(r, split="validation") for r in one.rows)
    assert dataclasses.replace(one, rows=held).digest != one.digest


def test_a_number_changed_changes_the_digest(tmp_path: Path) -> None:
    digests = set()
    for value in (0, 1):
        writer = create(tmp_path / str(value))
        writer.add(row(), {"text": np.array([value], np.int32)})
        digests.add(writer.close().digest)
    assert len(digests) == 2


def test_nothing_opens_before_it_is_closed(tmp_path: Path) -> None:
    create(tmp_path).add(row(), {"text": np.zeros(2, np.int32)})
    with pytest.raises(InputError, match="holds no prepared data"):
        Prepared.open(tmp_path)


def test_writing_again_replaces_rows_and_keeps_arrays(tmp_path: Path) -> None:
    some(tmp_path, 3)
    size = {path: path.stat().st_size for path in (tmp_path / "shards").iterdir()}
    assert [r.id for r in some(tmp_path, 2).rows] == ["r0", "r1"]
    assert {path: path.stat().st_size for path in (tmp_path / "shards").iterdir()} == size


def test_a_feature_can_be_added_to_some_rows(tmp_path: Path) -> None:
    data = extend(some(tmp_path), "alignment", {"r1": np.arange(3, dtype=np.uint16)})
    assert [data.has(r, "alignment") for r in data.rows] == [False, True, False]
    np.testing.assert_array_equal(data.read(data.rows[1], "text"), [0, 1])


def test_rows_without_a_feature_are_left_out(tmp_path: Path) -> None:
    data = extend(some(tmp_path), "alignment", {"r1": np.arange(3, dtype=np.uint16)})
    assert data.with_features(["text"]) is data
    less = data.with_features(["text", "alignment"])
    assert [row.id for row in less.rows] == ["r1"]
    with pytest.raises(InputError, match="has no feature mel of clip r0"):
        data.with_features(["mel"])


@pytest.mark.parametrize(
    ("feature", "array", "words"),
    [
        ("text", np.zeros(2, np.int64), "text: expected 1 axes of int32, got 1 of int64"),
        ("mel", np.zeros(2, np.float16), "mel: expected 2 axes of float16, got 1"),
        ("pitch", np.zeros(2, np.float32), "unknown feature pitch"),
    ],
)
def test_arrays_of_another_form_are_refused(
    tmp_path: Path, feature: str, array: np.ndarray, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        create(tmp_path).add(row(), {feature: array})


def test_an_id_occurs_once(tmp_path: Path) -> None:
    writer = Writer(tmp_path, DataSettings())
    writer.add(row(), {})
    with pytest.raises(ValueError, match="r0 was added before"):
        writer.add(row(), {})


def test_damage_is_named(tmp_path: Path) -> None:
    some(tmp_path)
    index = tmp_path / "index.jsonl"
    text = index.read_text()
    index.write_text(text.replace('"train"', '"tr"', 1))
    with pytest.raises(InputError, match="damaged in line 1: split: expected train or validation"):
        Prepared.open(tmp_path)
    index.write_text(text[:-30])
    with pytest.raises(InputError, match=r"index.jsonl is damaged"):
        Prepared.open(tmp_path)
    index.write_text(text)
    next((tmp_path / "shards").iterdir()).unlink()
    with pytest.raises(InputError, match=r"6 arrays that index.jsonl names are in no file"):
        Prepared.open(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    some(tmp_path)
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(InputError, match="expected prepared data of format 1, found 99"):
        Prepared.open(tmp_path)


def test_data_of_another_tokenizer_or_mel_is_refused(tmp_path: Path) -> None:
    config = support.tiny_config()
    known = hashlib.sha256(b"a tokenizer").hexdigest()
    data = some(tmp_path, settings=DataSettings(tokenizer=known))
    data.check_model(config, b"a tokenizer")
    with pytest.raises(InputError, match="prepared with another tokenizer"):
        data.check_model(config, b"another")
    dataclasses.replace(data, settings=DataSettings()).check_model(config, b"any: it has no texts")
    other = dataclasses.replace(data, settings=DataSettings(sample_rate=24000))
    with pytest.raises(InputError, match="24000 Hz with a hop of 256 samples, the model has 22050"):
        other.check_model(config, b"")


def test_data_is_hashable_as_a_cache_key(tmp_path: Path) -> None:
    some(tmp_path)
    data = Prepared.open(tmp_path)
    assert {data: "kept"}[data] == "kept"
