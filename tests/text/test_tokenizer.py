import importlib.resources
import json

import pytest
import support

from indextts_jax.errors import InputError
from indextts_jax.text.tokenizer import Tokenizer, split_cjk

SMALL = support.DATA / "text" / "bpe_small.model"
WITHOUT_NORMALISATION = 59  # texts that normalising leaves as they are


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("row", rows(support.DATA / "text" / "cjk.jsonl"))
def test_cjk_characters_are_set_apart_as_in_the_reference(row):
    assert split_cjk(row["input"], row["options"]["do_upper_case"]) == row["output"]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (0x1100, 0x11FF),
        (0x2E80, 0xA4CF),
        (0xA840, 0xD7AF),
        (0xF900, 0xFAFF),
        (0xFE30, 0xFE4F),
        (0xFF65, 0xFFDC),
        (0x20000, 0x2FFFF),
    ],
)
def test_a_range_begins_and_ends_where_it_should(first, last):
    for inside in (first, last):
        assert split_cjk(f"x{chr(inside)}x", upper=False) == f"x {chr(inside)} x"
    for outside in (first - 1, last + 1):
        assert split_cjk(f"x{chr(outside)}x", upper=False) == f"x{chr(outside)}x"


@pytest.mark.parametrize("row", rows(support.DATA / "text" / "pieces_small.jsonl"))
def test_small_model_matches_pieces_and_ids_of_the_reference(row):
    tokenizer = Tokenizer(SMALL)

    assert tokenizer.pieces(row["input"]) == row["pieces"]
    assert tokenizer.encode(row["input"]) == row["output"]


def test_published_model_matches_pieces_and_ids_of_the_reference():
    tokenizer = Tokenizer(support.real("bpe.model"))
    golden = support.real("../golden/text")
    if not golden.is_dir():
        pytest.skip(f"no golden texts beside the real data: {golden}")
    normalised = {row["input"]: row["output"] for row in rows(golden / "normalize.jsonl")}
    texts = [
        row
        for row in rows(golden / "tokens_published_bpe.jsonl")
        if "pieces" in row and normalised.get(row["input"]) == row["input"]
    ]

    assert len(texts) == WITHOUT_NORMALISATION
    for row in texts:
        assert tokenizer.pieces(row["input"]) == row["pieces"]
        assert tokenizer.encode(row["input"]) == row["output"]


@pytest.mark.parametrize("text", ["", "  ", "\n\t", "\u3000"])
def test_empty_text_has_no_pieces(text):
    assert Tokenizer(SMALL).encode(text) == []


def test_one_character_keeps_its_case():
    tokenizer = Tokenizer(SMALL)

    assert tokenizer.pieces(" a ") == ["▁", "a"]
    assert tokenizer.pieces("aa") == tokenizer.pieces("AA")


def test_unknown_characters_are_reported():
    tokenizer = Tokenizer(SMALL)
    unknown = tokenizer.encode("a")[-1]

    assert tokenizer.unknown("hello 😀 {hello} 😀") == ["😀", "{", "}", "😀"]
    assert tokenizer.unknown("hello") == []
    assert tokenizer.ids(["😀"]) == [unknown] == [2]


@pytest.mark.parametrize("text", ["<s>", "</s> hello", "<unk>"])
def test_names_of_special_tokens_are_ordinary_text(text):
    assert not {0, 1} & set(Tokenizer(SMALL).encode(text))


def test_a_model_can_be_given_as_a_path_or_as_bytes():
    by_path, by_bytes = Tokenizer(str(SMALL)), Tokenizer(SMALL.read_bytes())

    assert by_path.model == by_bytes.model == SMALL.read_bytes()
    assert by_path.encode("hello") == by_bytes.encode("hello")
    assert by_path.size == 960


@pytest.mark.parametrize("model", [b"", b"no model", SMALL.read_bytes()[:1000]])
def test_invalid_model_bytes_are_rejected(model):
    with pytest.raises(InputError, match="the tokenizer is not a SentencePiece model"):
        Tokenizer(model)


def test_invalid_model_file_is_reported(tmp_path):
    path = tmp_path / "bpe.model"
    path.write_text("hello")

    with pytest.raises(InputError, match=r"bpe\.model is not a SentencePiece model"):
        Tokenizer(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"bpe\.model: No such file"):
        Tokenizer(tmp_path / "bpe.model")


def test_half_of_a_character_is_refused():
    with pytest.raises(InputError, match="not Unicode at character 3"):
        Tokenizer(SMALL).pieces("ab\ud83d")


def test_the_demo_has_the_tokenizer_of_the_tests():
    demo = importlib.resources.files("indextts_jax") / "data" / "demo_tokenizer.model"

    assert demo.read_bytes() == SMALL.read_bytes()
