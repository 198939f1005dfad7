import pytest
import sentencepiece
import support

from indextts_jax.text.normalize import normalise
from indextts_jax.text.rules.pinyin import SYLLABLES, TONED, nearly, respell, spell

RARE = {"CEI", "DEN", "ENG", "KEI", "LO", "M", "N", "NG", "NOU", "NUN", "TEI", "ZHEI"}


@pytest.mark.parametrize(
    ("written", "spelt"),
    [
        ("xing2", "XING2"),
        ("nü3", "NV3"),
        ("lüe4", "LVE4"),
        ("ju4", "JV4"),
        ("xuan4", "XVAN4"),
        ("que4", "QVE4"),
        ("xün1", "XVN1"),
        ("jiu3", "JIU3"),
        ("er2", "ER2"),
        ("ma5", "MA5"),
        ("zhung4", None),
        ("bua2", None),
        ("xing6", None),
        ("fong1", None),
        ("gve2", None),
    ],
)
def test_a_syllable_is_spelt_as_the_vocabulary_has_it(written, spelt):
    assert spell(written) == spelt


def test_every_syllable_is_recognised_with_its_tone():
    assert all(TONED.fullmatch(f"{s}1") for s in SYLLABLES - {"M", "N"})


def test_syllables_are_those_of_the_tokenizer_and_rare_ones():
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(support.real("bpe.model")))
    toned = {p for p in map(pieces.id_to_piece, range(len(pieces))) if p[-1:] in "12345" and p[1:]}
    known = {p[:-1] for p in toned if p[:-1].isalpha()}

    assert len(known) == 404
    assert SYLLABLES - known == RARE
    assert known <= SYLLABLES


@pytest.mark.parametrize(("written", "spelt"), [("xing2", "XING2"), ("nv3", "nv3"), ("ju4", "JV4")])
def test_the_reference_spells_only_some(written, spelt):
    assert respell(written) == spelt


@pytest.mark.parametrize(("word", "close"), [("XIG", True), ("ZHUNG", True), ("BETA", False)])
def test_a_slip_is_recognised(word, close):
    assert nearly(word) == close


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("银行的行读hang2", "银行的行读HANG2"),
        ("ni3 hao3", "NI3 HAO3"),
        ("xing2", "XING2"),
        ("SHA1 and A1 and U2", "SHA one and A one and U two"),
        ("beta1 test", "beta one test"),
        ("银<行|xing2>", "银XING2"),
    ],
)
def test_pinyin_is_distinguished_from_names(text, reading):
    assert normalise(text).text == reading


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("念ZHUNG4吧", "ZHUNG4"),
        ("念bua2吧", "bua2"),
        ("<行|XIG2>人", "XIG2"),
        ("<行|xin>人", "xin"),
    ],
)
def test_pinyin_that_does_not_exist_is_named(text, bad):
    (warning,) = normalise(text).warnings

    assert bad in warning


@pytest.mark.parametrize(
    "text", ["用GPT4写", "MP3播放器", "beta1测试", "A4纸", "B2楼", "CO2排放", "i5"]
)
def test_names_are_not_taken_for_bad_pinyin(text):
    assert normalise(text).warnings == ()
