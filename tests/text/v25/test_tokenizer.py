import base64
import random
import re
import unicodedata

import numpy as np
import pytest
import support
import text25

from indextts_jax.errors import InputError
from indextts_jax.text.v25.special_tokens import SPECIAL_TOKENS
from indextts_jax.text.v25.tokenizer import RanksTokenizer

BYTES = [base64.b64encode(bytes([byte])) for byte in range(256)]


def ranks_file(tokens):
    return b"".join(b"%s %d\n" % (token, rank) for rank, token in enumerate(tokens))


def ids_of(tokenizer, row):
    tag = f"<|{row['lang'].lower()}|> "
    return [[*tokenizer.encode(tag + segment), 1] for segment in row["segments"]]


@pytest.mark.parametrize("row", text25.TINY_ROWS, ids=lambda row: row["input"][:20])
def test_segments_have_the_ids_of_the_reference(row):
    assert ids_of(text25.small(), row) == row["ids"]


def test_the_recorded_arrays_of_text_have_these_ids():
    with np.load(text25.TINY / "tensors" / "text.npz") as arrays:
        recorded = [arrays[f"ids_{index:02}"].tolist() for index in range(10)]

    ours = [ids_of(text25.small(), row)[0] for row in text25.TINY_ROWS[:10]]
    assert ours == recorded


def test_published_ranks_give_the_ids_of_the_reference():
    tokenizer = text25.published()

    assert tokenizer.size == 60_509
    assert len(text25.PUBLISHED_ROWS) == 389
    different = [r["input"] for r in text25.PUBLISHED_ROWS if ids_of(tokenizer, r) != r["ids"]]
    assert different == []


def reference_encoding(tokenizer):
    tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    lines = (line.split() for line in tokenizer.model.splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    return tiktoken.Encoding(
        "reference",
        # GPT-2's pattern, as tiktoken publishes it.
        pat_str=r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""",
        mergeable_ranks=ranks,
        special_tokens={token: len(ranks) + i for i, token in enumerate(SPECIAL_TOKENS)},
    )


def random_texts(count):
    """Texts of neighbouring characters of all Unicode blocks, with spaces, signs and tokens."""
    draw = random.Random(0)
    signs = [*" \n\t-'_=.,!?aAsStT019", "  ", "'ll", "'LL", "<|en|>", "<|SAD|>", "<|x|>"]
    blocks = [*range(0x20, 0xD7FF, 7), *range(0xE000, 0x2FFFF, 11), 0xE0100]
    for _ in range(count):
        first = draw.choice(blocks)
        last = min(first + 64, 0xD7FF) if first < 0xD800 else first + 64
        yield "".join(
            chr(draw.randint(first, last)) if draw.random() < 0.6 else draw.choice(signs)
            for _ in range(draw.randint(1, 40))
        )


@pytest.mark.parametrize("ranks", ["small", "published"])
def test_random_texts_of_all_unicode_blocks_are_encoded_as_tiktoken_does(ranks):
    tokenizer = getattr(text25, ranks)()
    reference = reference_encoding(tokenizer)

    for text in random_texts(400):
        assert tokenizer.encode(text) == reference.encode(text, allowed_special="all"), ascii(text)


@pytest.mark.nightly
def test_every_character_is_encoded_as_tiktoken_does():
    tokenizer = text25.published()
    reference = reference_encoding(tokenizer)

    assigned = (*range(0xD800), *range(0xE000, 0x32400), *range(0xE0000, 0xE0200))
    codes = (*assigned, *range(0x32400, 0x110000, 997))
    for first in range(0, len(codes), 32):
        some = map(chr, codes[first : first + 32])
        text = "\n".join(f"a{c}b 1{c}2 {c}{c}" for c in some)
        assert tokenizer.encode(text) == reference.encode(text, allowed_special="all"), first


@pytest.mark.nightly
def test_repeated_characters_are_merged_from_the_left_as_tiktoken_does():
    # A token such as `----` can be divided in several ways, which `tokenizers` ranks.
    tokenizer = text25.published()
    reference = reference_encoding(tokenizer)
    draw = random.Random(1)
    tokens = tokenizer.spelled(range(256, tokenizer.size - len(SPECIAL_TOKENS)))
    periodic = [t for t in tokens if len(t) > 2 and any(t[:-p] == t[p:] for p in range(1, len(t)))]

    assert len(periodic) > 100
    for token in periodic:
        for _ in range(10):
            text = "".join(draw.choice(token) for _ in range(draw.randint(2, 24))) + token
            assert tokenizer.encode(text) == reference.encode(text, allowed_special="all"), text


def test_special_tokens_follow_the_ranks_in_the_order_of_the_release():
    tokenizer = text25.published()

    assert len(SPECIAL_TOKENS) == 1673 == len(set(SPECIAL_TOKENS))
    for token, number in [
        *(("<|endoftext|>", 58836), ("<|en|>", 58838), ("<|zh|>", 58839), ("<|es|>", 58841)),
        *(("<|ja|>", 58845), ("<|ar|>", 58851), ("<|su|>", 58936), ("<|ASR|>", 58937)),
        *(("<|HAPPY|>", 58948), ("<|translate|>", 58952), ("<|SPECIAL_TOKEN_1|>", 58958)),
        *(("<|TTS/B|>", 58988), ("<|TTS/SP13|>", 59007), ("<|0.00|>", 59008)),
        ("<|30.00|>", 60508),
    ]:
        assert tokenizer.special_id(token) == number
        assert tokenizer.encode(token) == [number]


@pytest.mark.parametrize("token", ["<|yue|>", "<|zhen|>", "<|EN|>", "<|0.5|>", "<|sad|>"])
def test_other_names_between_bars_are_ordinary_text(token):
    assert text25.small().special_id(token) is None
    assert len(text25.small().encode(token)) > 1


@pytest.mark.parametrize("text", ["", "a", " は今日", "x<|zh|>y\n", "👍🏽 𠮷", "\0\u200b"])
def test_ids_spell_the_text(text):
    tokenizer = text25.small()
    ids = tokenizer.encode(text)

    assert b"".join(tokenizer.spelled_bytes(ids)).decode() == text
    assert tokenizer.count(text) == len(ids)


def test_pieces_are_shown_with_word_marks_and_bytes():
    assert text25.published().pieces("hello world は<|SAD|>") == [
        *("he", "llo", "▁world", "▁<0xE3><0x81>", "<0xAF>", "<|SAD|>")
    ]


def test_characters_without_a_token_are_named():
    tokenizer = text25.published()

    assert tokenizer.unknown("好 は𠮷, é 😀 مرحبا ñ 𠮷") == ["𠮷", "😀", "𠮷"]
    assert tokenizer.unknown("今日 は 良い 天気 です ね .") == []


def test_no_letter_of_the_five_languages_is_named():
    blocks = [(0x20, 0x7E), (0xA1, 0xFF), (0x3041, 0x3093), (0x30A1, 0x30F6), (0x60C, 0x652)]
    letters = "".join(chr(code) for first, last in blocks for code in range(first, last + 1))
    letters = "\n".join(c for c in letters if unicodedata.category(c)[0] in "LMNP")

    assert text25.published().unknown(letters) == []


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(InputError, match="the text is not Unicode at character 2"):
        text25.small().encode("a\ud800")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.tiktoken: No such file or directory"):
        RanksTokenizer(tmp_path / "none.tiktoken")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", r"line 1: expected a token in base64"),
        (b"\n".join([b"IQ== 0", b"Ig== 2"]), r"line 2: .* the rank 1, got 'Ig== 2'"),
        (ranks_file([*BYTES, b"!!!!"]), r"line 257: expected a token in base64 and the rank 256"),
        (ranks_file([*BYTES, b"IQ=="]), r"damaged: 1 tokens appear twice"),
        (ranks_file(BYTES[:200]), r"56 of the 256 bytes have no token"),
        (b"", r"256 of the 256 bytes have no token"),
        (b"\x80\x04\x95", r"line 1: expected a token"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(content, message, tmp_path):
    path = tmp_path / "damaged.tiktoken"
    path.write_bytes(content)

    with pytest.raises(InputError, match=rf"{re.escape(str(path))}.*{message}") as caught:
        RanksTokenizer(path)
    assert "\n" not in str(caught.value)


def test_a_sentencepiece_model_is_refused():
    with pytest.raises(InputError, match=r"bpe_small\.model, line \d: expected a token in base64"):
        RanksTokenizer(support.DATA / "text" / "bpe_small.model")


def test_the_bytes_of_a_file_make_the_same_tokenizer():
    again = RanksTokenizer(text25.small().model)

    assert again.sha256 == text25.small().sha256
    assert again.encode("hello") == text25.small().encode("hello")
