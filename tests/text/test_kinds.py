"""What people write, cut off and mistype, by kind of fault: given cases, and sentences of our own.

Half of our own sentences are traps, where the rule of the kind must not apply.
"""

import collections
import json
import re

import pytest
import support

from indextts_jax.errors import InputError
from indextts_jax.text.frontend import TextFrontend
from indextts_jax.text.normalize import normalise
from indextts_jax.text.segments import split_segments
from indextts_jax.text.tokenizer import Tokenizer

_IDEOGRAPH = re.compile("([\u3400-\u9fff])")


def rows(name):
    lines = (support.DATA / "text" / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


CASES = rows("cases.jsonl")
OWN = rows("kinds.jsonl")
SAID = [case for case in CASES if case["check"] in ("reading", "pauses")]
CUT = [case for case in CASES if case["check"] == "segments"]


def words(text, pauses=False):
    """Upper case, without `and` and marks; with `pauses` commas and stops count."""
    text = text.upper()
    if pauses:
        text = re.sub("[.。!?]", " . ", re.sub("[,，;:]", " , ", text.replace("…", ".")))
    text = re.sub(r"(?<=[A-Z])'(?=[A-Z])", "", text)
    text = _IDEOGRAPH.sub(r" \1 ", re.sub(r"[^\w\s,.]" if pauses else r"[^\w\s]", " ", text))
    found = [word for word in text.split() if word != "AND"]
    while found and found[-1] in ",.":
        found.pop()
    return found


@pytest.mark.parametrize("case", SAID, ids=lambda case: case["text"][:30])
def test_given_case_has_an_acceptable_reading(case):
    pauses = case["check"] == "pauses"

    said = words(normalise(case["text"]).text, pauses)
    assert said in [words(expected, pauses) for expected in case["expect"]]


@pytest.mark.parametrize("case", CUT, ids=lambda case: case["text"][:30])
def test_given_text_keeps_together_what_belongs_together(case):
    script = TextFrontend(Tokenizer(support.real("bpe.model"))).prepare(case["text"])

    assert any(part in s.text for part in case["together"] for s in script.segments)


@pytest.mark.parametrize("row", OWN, ids=lambda row: row["text"][:30])
def test_sentence_of_our_own_is_read_as_a_native_speaker_reads_it(row):
    assert normalise(row["text"]).text.upper() == row["reading"].upper()


def test_each_kind_of_reading_has_sentences_of_our_own():
    counts = collections.Counter(row["number" if "number" in row else "kind"] for row in OWN)

    assert all(counts[kind] >= 8 for kind in (*range(1, 19), 20))


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("wor\u200dld \u202babc\u202c \u2067x\u2069", "\u200d\u202b\u202c\u2067\u2069"),
        ('他买了65"电视。', "\\"),
        ('他说"好"。', "\\"),
        ("\x1b[1;31mred\x1b[0m", "\x1b[m"),
    ],
)
def test_sign_that_cannot_be_said_is_left_out(text, signs):
    assert not set(signs) & set(normalise(text).text)


def test_private_characters_are_named_not_taken_for_placeholders():
    assert normalise("\U000f0001 icon \U00100000").text == "\U000f0001 icon \U00100000"
    assert normalise("图标\U000f0000有3个").text == "图标\U000f0000有三个"


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
def test_text_of_utf_16_read_as_utf_8_is_refused(encoding):
    text = "Hello world.".encode(encoding).decode("utf-8")

    with pytest.raises(InputError, match="UTF-16"):
        TextFrontend(Tokenizer(support.DATA / "text" / "bpe_small.model")).prepare(text)


def pieces(text):
    return ["▁" + word for word in text.split()]


def texts(segments):
    return ["".join(segment).replace("▁", " ").strip() for segment in segments]


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        # Traps: a new sentence behind a quotation; a vitamin is not an initial.
        (
            "WE SAW HIM GO. 'BUT WHY?' CRIED MISSES D.",
            7,
            ["WE SAW HIM GO.", "'BUT WHY?' CRIED MISSES D."],
        ),
        ("'B B B?' THE RAIN CAME ON. A", 5, ["'B B B?'", "THE RAIN CAME ON. A"]),
        ("ONE TWO. A. B. CRANE LEFT. END", 5, ["ONE TWO.", "A. B. CRANE LEFT. END"]),
        ("ONE TWO SO DO I. THEN HE LEFT", 6, ["ONE TWO SO DO I.", "THEN HE LEFT"]),
        ("WE HAVE PLAN B. THEN WE LEFT", 4, ["WE HAVE PLAN B.", "THEN WE LEFT"]),
        ("SHE GOT AN A. NOW SHE SMILES", 4, ["SHE GOT AN A.", "NOW SHE SMILES"]),
        ("HE IS IN. GEORGE W. BUSH SPOKE", 4, ["HE IS IN.", "GEORGE W. BUSH SPOKE"]),
        ("'STOP!' SHE SAID. HE RAN OFF.", 4, ["'STOP!' SHE SAID.", "HE RAN OFF."]),
        ("THE RAIN FELL. 'SO?' HE ASKED.", 4, ["THE RAIN FELL.", "'SO?' HE ASKED."]),
        ("'NO.' 'YES.' 'NO!' THEY ALL SAID.", 4, ["'NO.' 'YES.'", "'NO!' THEY ALL SAID."]),
        (
            "'I AM LATE,' SAID MARY. 'GO NOW!'",
            5,
            ["'I AM LATE,' SAID MARY.", "'GO NOW!'"],
        ),
    ],
)
def test_cut_spares_attributions_and_initials(text, limit, expected):
    assert texts(split_segments(pieces(text), limit)) == expected


def test_opening_quotation_mark_goes_with_what_follows():
    # As the published tokenizer has it between ideographs.
    said = ["▁他", "▁大", "▁声", "▁说", "▁,"]
    quoted = ["'", "▁好", "▁的", "▁.", "'"]

    assert split_segments([*said, *quoted], 6) == [said, quoted]


@pytest.mark.parametrize(
    ("text", "pauses"),
    [
        ("aaaa. bbbb. cc.", [0.2, 0.2, 0.0]),
        ("aaaa bb, cccc dd.", [0.1, 0.0]),
        ("aaaa bbbb cccc", [0.0, 0.0, 0.0]),
    ],
)
def test_pause_after_a_cut_follows_the_mark(text, pauses):
    from indextts_jax.text.segments import pause_share

    limit = 5 if pauses[0] != 0.1 else 8
    runs = split_segments(
        [("▁" if i == 0 else "") + c for w in text.split() for i, c in enumerate(w)], limit
    )
    shares = [0.2 * pause_share(run) for run in runs[:-1]] + [0.0]

    assert shares == pytest.approx(pauses)
