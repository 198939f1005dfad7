"""Any text is read or refused: random characters of every block, and long runs of one kind."""

import random
import time
import unicodedata

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

from indextts_jax.text.frontend import TextFrontend
from indextts_jax.text.normalize import normalise
from indextts_jax.text.segments import WORD
from indextts_jax.text.tokenizer import Tokenizer

FRONTEND = TextFrontend(Tokenizer(support.DATA / "text" / "bpe_small.model"))
BLOCK = 0x80
# A few of each block that has characters; of the private planes a few blocks.
BLOCKS = [
    start
    for start in [*range(0, 0x31000, BLOCK), 0xE0000, 0xF0000, 0xFFF80, 0x100000, 0x10FF80]
    if not 0xD800 <= start < 0xE000
    and (start < 0x3400 or start % 0x800 == 0 or not 0x3400 <= start < 0xA000)
    and any(unicodedata.category(chr(c)) != "Cn" for c in range(start, start + BLOCK))
]


def characters(start, count=1):
    generator = random.Random(start)
    found = [chr(c) for c in range(start, start + BLOCK) if unicodedata.category(chr(c)) != "Cn"]
    return generator.sample(found, min(count, len(found)))


def check(text):
    """The script of a text, in which each piece that the tokenizer does not know is named."""
    script = FRONTEND.prepare(text)
    tokenizer = FRONTEND.tokenizer
    unknown = [
        piece.strip(WORD)
        for segment in script.segments
        for piece, number in zip(segment.pieces, segment.ids, strict=True)
        if number == tokenizer.unknown_id and piece.strip(WORD)
    ]
    assert [item.piece for item in script.unknown] == unknown
    return script


def test_random_characters_of_every_block_are_read_or_named():
    for character in (c for start in BLOCKS for c in characters(start)):
        check(f"We saw {character} here.\n我有{character}，{character}吗？")


@pytest.mark.nightly
def test_more_characters_of_every_block_are_read_or_named():
    for character in (c for start in BLOCKS for c in characters(start, 8)):
        for text in (
            character,
            f"We saw {character} 3 times.",
            f"我有3个{character}，{character}吗？",
        ):
            check(text)


def lost(character):
    return normalise(f"好{character}吗").text == normalise("好吗").text


def test_no_letter_or_figure_is_lost():
    sayable = (
        c for start in BLOCKS for c in characters(start) if unicodedata.category(c)[0] in "LN"
    )

    assert [ascii(c) for c in sayable if lost(c)] == []


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_random_text_is_read_or_named(text):
    if "[" not in text and "\0" not in text:
        check(text)


MARKS = "abz AZ 09 .,:;!?'\"()[]{}<>|/\\*#_~`^$%&@+-=½²Ⅲ①°′€é好两第年月日点分级～—“”，。、：；\n\t"


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from(MARKS), max_size=40))
def test_marks_in_any_order_are_read(text):
    normalise(text)


KINDS = [
    "7",
    "7 ",
    "1-",
    "1,",
    "a",
    "好",
    "a@",
    "\n",
    "a\n",
    "*",
    "[a](",
    "<a ",
    "😀",
    "$a$",
    "1月",
]
MORE = (
    *("A", "好 ", "1.", "1/", "1:", "a.", "a-", "a/", ".", "-", "_", "`", "~", "|"),
    *("<", "</", "<!--", "&", "[", "](", "(", '"', "“", "'", "$", "\\", "\\frac{"),
    *("{", "好\n", "\t", "\r\n", " ", "a b ", "A. ", "St. ", "II ", "x+", "3x ", "f("),
    *("𝐛", "é", "\u0301", "ā", "а", "あ", "한", "1a", "a1", "A1-", "第1", "1级", "1-2级"),
    *("12:30 ", "5s ", "~5", "#好#", "http://", "a.com/", "@a ", "0.", "| a | b |\n"),
    *("00:00:01,000 --> 00:00:02,000\n", "- a\n", "1) a\n", "Mon. ", "1/2 ", "½"),
    *("²", "Ⅲ", "①", "5%", "℃", "5 km ", "x=1 ", "==", "→", "\x1b[31m", "\u200d"),
    *("–", "\U000f0000", "，", "。", "__", "(1)", "'s "),
    *("12' ", "5-3、", "1) A. ", "l8r ", "n! = ", "a(b-c", "√(", "x ± ", "[m"),
    *("__/", "1/2/", ".5 "),
)  # fmt: skip


def seconds(kind, length):
    text = (kind * (length // len(kind) + 1))[:length]
    start = time.process_time()
    FRONTEND.prepare(text)
    return time.process_time() - start


@pytest.mark.parametrize("kind", KINDS)
def test_time_for_a_long_run_of_one_kind_is_short(kind):
    assert seconds(kind, 5_000) < 2.5  # of the processor; usually below 0.2 s


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [*KINDS, *MORE])
def test_100_000_characters_of_one_kind_take_less_than_ten_seconds(kind):
    assert seconds(kind, 100_000) < 10
