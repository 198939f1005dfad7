"""The default reading where it is not the reference's, and what is general about it."""

import json
import subprocess
import sys
import threading

import pytest
import support

from indextts_jax.text.glossary import Glossary
from indextts_jax.text.normalize import language_of, normalise
from indextts_jax.text.reference.normalize import normalise_as_reference
from indextts_jax.text.rules.verbalise import verbalise

ROWS = [
    json.loads(line)
    for line in (support.DATA / "text" / "normalize.jsonl").read_text("utf-8").splitlines()
]

PHONE = "telephone numbers are said with 幺, and not as quantities"
PRICE = "a price is said with its cents, not with a point"
NOT_PINYIN = "letters and digits of a name are no pinyin"
MARKED = "the pronunciation is said; the reference hands the mark-up to the tokenizer"
PHONEMES = "this model knows no phonemes: the word is said, with a warning"
ADDRESS = "the signs of an address are said; the tokenizer does not know them"
VOWEL = "ü is spelt V, as the tokenizer knows it"
SIGN = "the sign is said; the tokenizer does not know it"
ACCENT = "the letter is said without its accent; the tokenizer knows no accents"
FORM = "the raised or joined figures are said; the tokenizer does not know them"
SHORT = "an abbreviation is said in full"
POSSESSIVE = "the 's of an owner is no is"
HYPHEN = "a hyphen between words is no minus"
LINE = "a line end without a mark is a pause"
DIFFERENT = {
    "3-2大胜对手": "a score is no subtraction",
    "拨打400-800-1234或13812345678": PHONE,
    "电话：010-62781234": PHONE,
    "+86 138-1234-5678": PHONE + "; the plus is 加, not 正",
    "(123) 456-7890": PHONE,
    "价格是￥99.9元": "the reference says nine yuan, and nine point nine yuan",
    "花了100美元和50€": "a hundred dollars, and euros for the sign",
    "x>5且y<3": SIGN,
    "2*3等于6": SIGN,
    "A4纸和B2楼": NOT_PINYIN,
    "The A100 GPU is fast.": NOT_PINYIN,
    "Print it on A4 paper.": NOT_PINYIN,
    "U2 played 12 songs.": NOT_PINYIN + ", and songs are not seconds",
    "ma12": NOT_PINYIN,
    "an100个": NOT_PINYIN,
    "CosyVoice-2 vs XTTS-v2": NOT_PINYIN + ", and vs is no volt",
    "你好 world 123 hello": "hello is not hours",
    "The meeting is at 3:45 PM on Jan 5, 2024.": "said in the order in which it is written",
    "It costs $12.50, or 5% less.": PRICE,
    "Price: $1,234.56 on 12/25/2023": PRICE,
    "Dr. Smith lives at 221B Baker St.": "a house number is no quantity; " + SHORT,
    "No. 7": "the full stop of the abbreviation is no pause",
    "Room 101 is on floor 1.": "a room number is no quantity",
    "etc.": SHORT,
    "w/o": SHORT,
    "A.I. and U.S.A.": "the last full stop ends the sentence, too",
    "Here’s a curly one": "a curly apostrophe is an apostrophe",
    "It’s 5 o'clock": "a curly apostrophe is an apostrophe",
    "The rabbit's ears": POSSESSIVE,
    "Her spirit's high": "spirit's is left to the model, as every other word's is",
    "nv3孩 lv4色 lüe4": VOWEL,
    "nü3孩": VOWEL,
    "lüe4夺 LVE4": VOWEL,
    "列奥纳多·达·芬奇和让-雅克·卢梭": HYPHEN,
    "中国-东盟-欧盟-非盟会议": HYPHEN,
    "-": HYPHEN,
    "foo@bar.com": ADDRESS,
    "abc123@mail99.com": ADDRESS,
    "请发邮件到foo@bar.com谢谢": ADDRESS,
    "foo@bar.com\n": ADDRESS,
    "user@site.org说3次": ADDRESS,
    "5$": "the sign behind the number is dollars, too",
    "100$美元": "a hundred dollars, said once",
    "a/b c\\d": SIGN,
    "a<b|c>d 3<5|6>7": MARKED + "; " + SIGN,
    "<a|b|c>好": PHONEMES,
    "He had a <minute|M IH1 . N AH0 T> to spare.": PHONEMES,
    "<minute|M AY0 . N UW1 T> details in 2024": PHONEMES,
    "他说<行|HANG2>，3个<重|CHONG2>复": MARKED,
    "这个app的v2.3.1版本更新于2024-05-06": "a version is said part by part",
    "OpenAI发布GPT-4o，价格$20/月": "a price a month, not a slash that is not known",
    "№5": SIGN,
    "M.2 NVMe固态硬盘支持PCIe 5.0": "a glossary's reading is not read again by its other terms",
    "M.2 NVMe SSD with PCIe 5.0 and pcie 4.0": "likewise",
    "没有术语123": "a bare number is a quantity, unless a word before it says that it is a code",
    "5'10\"": "feet and inches",
    "<b>粗体</b>": "tags are for the eye; the tokenizer does not know their signs",
    "Café déjà vu 3": ACCENT,
    "naïve": ACCENT,
    "①②③": FORM,
    "½杯": FORM,
    "x²": FORM,
    "#话题# @用户 &和": "the signs around a topic are for the eye, and no pieces of the tokenizer",
    "©2024": SIGN,
    "「日式」『引号』": "double brackets are said as single ones; the tokenizer does not know them",
    "[tag] (x) {y}": "braces are said as other brackets are; the tokenizer does not know them",
    "10⁻³": FORM,
    "换行\n第二行": LINE,
    "Windows\r\n换行": LINE,
    "制表\t符": "a tab between cells is a pause",
    "<未闭合|XING2": "a sign without a reading is left out",
    "😀表情": "a picture has no reading, and is no piece of the tokenizer",
    "I scored 7/10": "a score is no fraction",
    "&": SIGN,
    "1,234,567元": "the whole amount is said; the reference says one, a pause, and the rest",
    "He ran 26.2 miles in 2h 15m.": "hours and minutes are said; the reference spells H and M",
    "x|y": SIGN,
    "user_name": SIGN,
}


def both(row):
    terms = row["options"].get("glossary") if row["options"].get("enable_glossary") else None
    glossary = Glossary.of(terms) if terms else None
    ours, reference = (
        normalise(row["input"], glossary),
        normalise_as_reference(row["input"], glossary),
    )
    return ours.text.upper(), reference.upper()  # the tokenizer is given upper case


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["input"][:30])
def test_a_text_is_read_as_the_reference_does_unless_there_is_a_reason(row):
    ours, reference = both(row)

    assert (ours != reference) == (row["input"] in DIFFERENT), (ours, reference)


def test_sentences_of_the_reference_are_read_alike_except_markup():
    folder = support.real("../golden/text")
    if not folder.is_dir():
        pytest.skip(f"no golden texts beside the real data: {folder}")
    rows = map(json.loads, (folder / "normalize.jsonl").read_text("utf-8").splitlines())
    own = [row for row in rows if row.get("origin") == "reference"]
    different = [row for row in own if len(set(both(row))) > 1]

    assert len(own) == 9
    assert len(different) == 3
    assert all("|" in row["input"] for row in different)  # the pronunciation is said, or the word


def test_every_reason_has_its_row():
    assert set(DIFFERENT) <= {row["input"] for row in ROWS}


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_the_hash_seed_changes_nothing(seed):
    code = (
        "from indextts_jax.text.normalize import normalise\n"
        "from indextts_jax.text.reference.normalize import normalise_as_reference as compat\n"
        "text = '\\u6211xuan1an1\\u548can1, xuan1'\n"
        "print(ascii(normalise(text).text), ascii(compat(text)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": seed, "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert out.split("' '") == [
        "'\\u6211XVAN1AN1\\u548cAN1, XVAN1",
        "\\u6211XVAN1an1\\u548can1, XVAN1'\n",
    ]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("今天很好", "zh"),
        ("iPhone 15 Pro Max 很贵", "zh"),
        ("Good morning", "en"),
        ('He said "你好" to me', "en"),
        ("12:30", None),
        ("发到foo@bar.com.cn或https://a.example.com/the/of", "zh"),
    ],
)
def test_a_sentence_has_one_language(text, language):
    assert language_of(text) == language


def test_each_sentence_is_read_in_its_own_language():
    text = "I have 2 cats.\n我有2只猫。\n12:30"

    assert normalise(text).text == "I have two cats. 我有两只猫. 十二点三十分"
    assert normalise("I have cats. All is well there.\n3").text.endswith("three")


def test_a_long_text_is_read_as_its_sentences_are():
    sentences = ["我买了2个苹果，花了12.5元。", "Room 305 costs $40.\n", "3-5个工作日。"] * 40

    together = normalise("".join(sentences)).text
    alone = "".join(normalise(s, usual="zh").text + " " * s.endswith("\n") for s in sentences)
    assert together.replace(" ", "") == alone.replace(" ", "")


def test_traditional_characters_become_simplified_ones():
    assert normalise("這是繁體中文，有3個。").text == "这是繁体中文,有三个."


def test_full_width_figures_and_letters_are_read_as_usual():
    assert normalise("会议室３０５，ＡＢＣ").text == "会议室三零五,ABC"


@pytest.mark.parametrize("text", ["", " \n ", "\t"])
def test_nothing_stays_nothing(text):
    assert normalise(text).text == ""


def test_unreadable_text_is_unchanged(monkeypatch):
    def fail(text, language):
        raise ValueError("no reading")

    monkeypatch.setattr("indextts_jax.text.rules.grammar.verbalise", fail)

    assert normalise("3个a,b").text == "三个a,b"


def test_threads_share_the_grammars():
    results = []

    def work():
        results.extend(verbalise(f"{n}个", "zh") for n in range(3, 23))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 80
    assert set(results) == {verbalise(f"{n}个", "zh") for n in range(3, 23)}
