import json

import pytest
import support

from indextts_jax.text.reference.normalize import normalise_as_reference
from indextts_jax.text.reference.segments import split_as_reference
from indextts_jax.text.tokenizer import Tokenizer

SMALL = support.DATA / "text" / "bpe_small.model"
ROWS = [
    json.loads(line)
    for line in (support.DATA / "text" / "segments.jsonl").read_text(encoding="utf-8").splitlines()
]
TEXTS = [row for row in ROWS if row["options"]["fn"] != "split_segments"]


def split(row, **options):
    pieces = row["options"].get("tokens", row["input"])
    asked = row["options"]
    return split_as_reference(
        pieces, asked["max_text_tokens_per_segment"], asked["quick_streaming_tokens"], **options
    )


@pytest.mark.parametrize("row", ROWS)
def test_pieces_are_cut_as_in_the_reference(row):
    assert split(row) == row["output"]


@pytest.mark.parametrize("row", ROWS)
def test_a_quotation_mark_can_come_once(row):
    assert split(row, quote_twice=False) == row.get("output_quote_fixed", row["output"])


@pytest.mark.parametrize("row", TEXTS, ids=lambda row: row["input"][:20])
def test_texts_match_the_pieces_of_the_reference(row):
    text = row["input"]
    plain = text if len(text.strip()) == 1 else normalise_as_reference(text)

    assert Tokenizer(SMALL).pieces(plain) == row["options"]["tokens"]


def test_segments_of_the_published_tokenizer_are_the_reference_s():
    tokenizer = Tokenizer(support.real("bpe.model"))
    path = support.real("../golden/text/tokens_published_bpe.jsonl")
    if not path.is_file():
        pytest.skip(f"no golden texts beside the real data: {path}")
    lines = path.read_text(encoding="utf-8").splitlines()
    golden = [row for row in map(json.loads, lines) if "segments" in row]

    assert len(golden) == 6
    for row in golden:
        pieces = tokenizer.pieces(normalise_as_reference(row["input"]))
        limit = row["options"]["max_text_tokens_per_segment"]
        assert [tokenizer.ids(s) for s in split_as_reference(pieces, limit)] == row["segments"]
