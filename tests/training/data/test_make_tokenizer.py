"""Tokenizers made from the texts of a set."""

import pytest

from indextts_jax.errors import InputError
from indextts_jax.text.frontend import TextFrontend
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.training.data.make_tokenizer import make_tokenizer, of_clips, spoken_form

TEXTS = [
    "It is 7:05, and they aren't here yet.",
    "Who's there? Nobody answered the quick knock.",
    "Five hundred foxes jumped over the wall of the garden.",
    "We always make extra coffee for the lazy dog, don't we?",
]


def test_character_tokenizer_round_trips_texts() -> None:
    tokenizer = Tokenizer(of_clips(TEXTS, "char", 60))
    for text in TEXTS:
        script = TextFrontend(tokenizer).prepare(text)
        assert not script.unknown
        (segment,) = script.segments
        assert segment.text == spoken_form(text)
        assert all(len(piece) == 1 for piece in segment.pieces)
    assert tokenizer.size < 40
    assert len(tokenizer.model) < 5000  # it goes into every checkpoint


def test_numbers_are_learned_as_words() -> None:
    tokenizer = Tokenizer(of_clips(TEXTS, "char", 60))
    assert tokenizer.unknown("7") == ["7"]


def test_unigram_respects_the_number_of_pieces() -> None:
    tokenizer = Tokenizer(of_clips(TEXTS * 5, "unigram", 48))
    assert tokenizer.size == 48
    assert max(map(len, tokenizer.pieces("over the garden"))) > 1


def test_special_pieces_have_the_ids_of_the_published_tokenizer() -> None:
    tokenizer = Tokenizer(of_clips(TEXTS, "char", 60))
    assert tokenizer.ids(["<s>", "</s>", "<unk>"]) == [0, 1, 2]
    assert tokenizer.unknown_id == 2


@pytest.mark.parametrize("kind", ["char", "unigram"])
def test_the_same_texts_give_the_same_model(kind: str) -> None:
    assert of_clips(TEXTS, kind, 60) == of_clips([*TEXTS[::-1], TEXTS[0]], kind, 60)


def test_the_full_stop_of_short_texts_is_always_known() -> None:
    tokenizer = Tokenizer(make_tokenizer(["ABC ABD"], "char", 60))
    assert tokenizer.unknown("AB.") == []


@pytest.mark.parametrize(
    ("texts", "kind", "pieces", "words"),
    [
        (TEXTS, "bpe", 60, "expected char or unigram, got 'bpe'"),
        (TEXTS, "char", 20, "pieces must be at least 3"),
        ([" "], "char", 60, "no texts"),
    ],
)
def test_impossible_tokenizer_is_rejected(
    texts: list[str], kind: str, pieces: int, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        of_clips(texts, kind, pieces)
