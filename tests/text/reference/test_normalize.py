"""The reference's normalisation, row by row."""

import json

import pytest
import support

from indextts_jax.text.glossary import Glossary
from indextts_jax.text.reference.normalize import is_chinese, normalise_as_reference
from indextts_jax.text.tokenizer import Tokenizer

OWN = support.DATA / "text" / "normalize.jsonl"
ROWS = 277  # of the golden file, those with sentences of the reference among them
# Texts of `tokens_published_bpe.jsonl` that have no row among the normalised ones.
DIFFERENT_TOKENS = {
    "xuan1an1": "there it is one outcome of two; here always the longer syllable first",
    "xuan1和an1": "likewise",
    "M.2 NVMe SSD with PCIe 5.0 and pcie 4.0": "M dot two is heard, there M point two",
    "I love C++ and ahci": "plus plus is heard; the reference leaves the signs to the tokenizer",
}


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def normalised(row):
    terms = row["options"].get("glossary") if row["options"].get("enable_glossary") else None
    return normalise_as_reference(row["input"], Glossary.of(terms) if terms else None)


@pytest.mark.parametrize("row", rows(OWN), ids=lambda row: row["input"][:30])
def test_a_text_is_normalised_as_in_the_reference(row):
    assert is_chinese(row["input"]) == (row["options"]["route"] == "zh")
    assert normalised(row) == row["output"]


def golden_texts():
    folder = support.real("../golden/text")
    if not folder.is_dir():
        pytest.skip(f"no golden texts beside the real data: {folder}")
    return folder


def test_sentences_of_the_reference_are_normalised_alike():
    golden = rows(golden_texts() / "normalize.jsonl")

    assert len(golden) == ROWS
    assert [row["input"] for row in golden if normalised(row) != row["output"]] == []


def test_ids_of_the_published_tokenizer_are_the_reference_s():
    tokenizer = Tokenizer(support.real("bpe.model"))
    golden = [r for r in rows(golden_texts() / "tokens_published_bpe.jsonl") if "pieces" in r]

    def ids(text):
        plain = text if len(text.strip()) == 1 else normalise_as_reference(text)
        return tokenizer.encode(plain)

    different = {row["input"] for row in golden if ids(row["input"]) != row["output"]}
    assert len(golden) == 280
    assert different == set(DIFFERENT_TOKENS)


def test_unreadable_text_is_unchanged_in_english_only(monkeypatch):
    def fail(text, language):
        raise ValueError("no reading")

    monkeypatch.setattr("indextts_jax.text.reference.normalize.verbalise_as_reference", fail)

    assert normalise_as_reference("what's 5") == "what is 5"
    assert normalise_as_reference("5个") == ""
