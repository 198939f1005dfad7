"""Which text token each code voices, and that `prepare` makes and names it."""

import dataclasses
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import models_under_test
import numpy as np
import pytest
import speech_sets
import support

from indextts_jax.errors import InputError
from indextts_jax.models.components import structure
from indextts_jax.models.training.heads import SYMBOLS
from indextts_jax.runtime.model import Model
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.training.data import features, prepare
from indextts_jax.training.data.alignment import align, best_path, labels_of, letters_of, misfit
from indextts_jax.training.data.job import Job
from indextts_jax.training.data.rows.checks import Limits
from indextts_jax.training.data.rows.manifest import Reading, Source, read_manifests
from indextts_jax.training.data.rows.survey import survey
from indextts_jax.training.objectives.tokens import ctc

TOKENIZER = Tokenizer(support.CHECKPOINTS / "bpe.model")


def spelled(letters: np.ndarray) -> str:
    return "".join(SYMBOLS[number - 1] for number in letters)


def test_letters_are_those_of_the_words() -> None:
    assert spelled(letters_of("  It’s  a well-known, fact! ")) == "IT'S A WELL KNOWN FACT"


@pytest.mark.parametrize(
    ("pieces", "letters", "owners"),
    [
        ([" ", "H", "I", ",", " ", "A"], "HI A", [1, 2, 4, 5]),  # a piece a character
        ([" HI", ",", " A", "B!"], "HI AB", [0, 0, 2, 2, 3]),  # the mark begins the next piece
        ([" WELL", "-", "KNOWN", " - ", " X"], "WELL KNOWN X", [0] * 4 + [1] + [2] * 5 + [4, 4]),
        ([" IT", "’", "S", "", "."], "IT'S", [0, 0, 1, 2]),
        (["", "7", "語"], "", []),
    ],
)
def test_each_letter_is_in_a_piece(pieces: list[str], letters: str, owners: list[int]) -> None:
    found = labels_of(pieces)
    assert spelled(found.letters) == letters
    assert found.pieces.tolist() == owners


@pytest.mark.parametrize("text", ["It's a small, well - known dog.", "the north; seven owls!"])
def test_letters_of_tokens_are_those_of_the_text(text: str) -> None:
    """The CTC learns the letters of texts, and is asked for those of tokens."""
    pieces = TOKENIZER.spelled(TOKENIZER.encode(text))
    np.testing.assert_array_equal(labels_of(pieces).letters, letters_of(text))


def test_an_unknown_piece_spells_nothing() -> None:
    assert TOKENIZER.spelled([TOKENIZER.unknown_id]) == [""]


def collapsed(path: tuple[int, ...]) -> list[int]:
    return ctc.greedy(np.eye(5)[list(path)])


def test_best_path_is_the_best_of_all_paths() -> None:
    scores = np.random.default_rng(0).standard_normal((6, 5))
    labels = np.array([2, 2, 4])
    every = [p for p in itertools.product(range(5), repeat=6) if collapsed(p) == [2, 2, 4]]
    best = max(every, key=lambda path: sum(scores[t, state] for t, state in enumerate(path)))

    ours = best_path(scores, labels)

    voiced = np.flatnonzero(np.array(best) != ctc.BLANK)
    np.testing.assert_array_equal(labels[ours[voiced]], np.array(best)[voiced])
    assert list(ours) == sorted(ours)
    assert set(ours) == {0, 1, 2}


@pytest.mark.parametrize(
    ("labels", "message"),
    [([1, 1, 1], "its letters need 5 frames, but it has 4"), ([], "it has no letters")],
)
def test_labels_that_do_not_fit_are_refused(labels: list[int], message: str) -> None:
    given = np.array(labels, np.int32)
    assert message in misfit(given, 4)
    with pytest.raises(ValueError, match=message):
        best_path(np.zeros((4, 5)), given)


def test_codes_voice_the_tokens_of_their_letters() -> None:
    labels = labels_of([" ", "NO", ",", " ", "OH"])
    voiced = "_NNO_ _OOHH"  # blanks are of the letter before
    logits = np.stack([np.eye(len(SYMBOLS) + 1)[("_" + SYMBOLS).index(c)] for c in voiced])
    found = align(5 * logits, labels)
    assert found.dtype == np.uint16
    assert found.tolist() == [1, 1, 1, 1, 1, 3, 3, 4, 4, 4, 4]


def with_head() -> Model:
    """The tiny model with a head of random numbers."""
    model, random = models_under_test.model("tiny"), np.random.default_rng(0)
    head = jax.tree.map(
        lambda leaf: jnp.asarray(random.normal(size=leaf.shape), jnp.float32),
        structure("ctc_head", model.config).expected,
    )
    return dataclasses.replace(model, params={**model.params, "ctc_head": head})


@pytest.mark.nightly
def test_letter_logits_are_independent_of_the_batch() -> None:
    random = np.random.default_rng(0)
    codes = [random.integers(0, 8, size).astype(np.uint16) for size in (31, 20)]
    both = features.letter_logits(with_head(), codes, 2)
    assert [array.shape for array in both] == [(31, 29), (20, 29)]
    (alone,) = features.letter_logits(with_head(), codes[1:], 2)
    np.testing.assert_array_equal(both[1], alone)


def job(folder: Path, **more: object) -> Job:
    limits = Limits(min_clips=2, min_minutes=0, allow_unknown=True)
    given = {"recipes": ("guided",), "limits": limits, "validation": 0, "own_prompts": True}
    return Job(version="2.0", dst=folder, **{**given, **more})  # type: ignore[arg-type]


def test_a_clip_that_cannot_be_aligned_is_named(tmp_path: Path) -> None:
    manifest = speech_sets.write_set(tmp_path, 3)
    manifest.write_text(manifest.read_text().replace(speech_sets.sentence(1), "語語"))
    clips = read_manifests([Source(manifest)], Reading())
    for recipes, count in (("guided",), 1), (("conditioning",), 0):
        asked = job(tmp_path / "out", recipes=recipes)
        found = survey(clips, asked, support.tiny_config(), TOKENIZER, keep=False)
        told = [(c.clip.id, f) for c in found.kept for f in c.findings if "alignment" in f.kind]
        assert len(told) == count
        assert [c.labels is not None for c in found.kept] == [bool(count), False, bool(count)]
    assert told == []


@pytest.mark.nightly
def test_prepare_aligns_codes_with_tokens(tmp_path: Path) -> None:
    manifest = speech_sets.write_set(tmp_path, 3)
    manifest.write_text(manifest.read_text().replace(speech_sets.sentence(1), "語語"))
    model, asked = with_head(), job(tmp_path / "out")
    clips = read_manifests([Source(manifest)], Reading())

    def run() -> tuple[prepare.Prepared, dict[str, int]]:
        found = survey(clips, asked, model.config, model.tokenizer)
        data, made = prepare.write(found, asked, model.config, model.tokenizer, model)
        return data, dict(made)

    data, made = run()
    assert made["alignment"] == 3
    for row in data.rows:
        found, codes = data.read(row, "alignment"), data.read(row, "codes")
        if row.id == "clip01":
            assert found.shape == (0,)
            continue
        labels = labels_of(TOKENIZER.spelled(data.read(row, "text")))
        (logits,) = features.letter_logits(model, [codes], 4)
        np.testing.assert_array_equal(found, align(logits, labels))
        assert (np.diff(found.astype(int)) >= 0).all()
        assert set(found) == set(labels.pieces)
    assert run()[1] == {}  # a second run computes nothing


def test_without_the_head_there_is_no_alignment(tmp_path: Path) -> None:
    clips = read_manifests([Source(speech_sets.write_set(tmp_path, 3))], Reading())
    model, asked = models_under_test.model("tiny"), job(tmp_path / "out")
    found = survey(clips, asked, model.config, model.tokenizer)
    with pytest.raises(InputError, match=r"guided .*ctc_head"):
        prepare.write(found, asked, model.config, model.tokenizer, model)
