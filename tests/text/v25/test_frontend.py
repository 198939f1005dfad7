import sys
import threading

import pytest
import support
import text25

from indextts_jax.errors import InputError
from indextts_jax.text.frontend import TextSettings
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.notices import text_notices
from indextts_jax.text.v25 import japanese
from indextts_jax.text.v25.frontend import MultilingualFrontend

OTHERS = text25.rows(support.DATA / "text" / "v25" / "other_languages.jsonl")


def prepare(text, language="auto", tokenizer=None, **settings):
    tokenizer = tokenizer or text25.small()
    return MultilingualFrontend(tokenizer, TextSettings(**settings), language).prepare(text)


def words(script):
    return [segment.words for segment in script.segments]


def test_a_text_is_read_tagged_and_cut():
    script = prepare("I like 3 books. And two songs!", segment_tokens=18)

    assert script.language == "en"
    assert script.normalised == "i like three books. and two songs!"
    assert words(script) == ["i like three books.", "and two songs!"]
    assert [segment.pause for segment in script.segments] == [0.2, 0.0]
    for segment in script.segments:
        assert list(segment.ids) == text25.small().encode("<|en|> " + segment.words)
        assert segment.language == 0
        assert segment.pieces[0] == "<|en|>"


def test_the_language_says_how_a_text_without_letters_is_read():
    assert prepare("25", "en").normalised == "twenty five."
    assert prepare("25", "zh").normalised == "二十五."
    assert prepare("25", "es").normalised == "25"
    assert prepare("25").language == "zh"


def test_the_language_may_differ_from_the_text_s():
    script = prepare("hello", "zh")

    assert script.segments[0].language == 1
    assert script.segments[0].ids[0] == text25.small().special_id("<|zh|>")


def test_pauses_are_cut_out_and_do_not_count_for_the_language():
    script = prepare("[pause 1s] 好。[pause 0.8s] 好。", pause=0.1)

    assert script.language == "zh"
    assert words(script) == ["好.", "好."]
    assert script.lead == 1.0
    assert [segment.pause for segment in script.segments] == [0.8, 0.0]


@pytest.mark.parametrize("text", ["", " \n", "...", "[pause 1s]", "?!"])
def test_a_text_with_nothing_to_say_has_no_segments(text):
    assert prepare(text).segments == ()


def test_a_short_text_ends_in_a_full_stop_in_chinese_and_english():
    assert words(prepare("hi")) == ["hi."]
    assert words(prepare("好")) == ["好."]
    assert words(prepare("hola", "es")) == ["HOLA"]
    assert words(prepare("hi", "en", compat=True)) == ["hi"]


@pytest.mark.parametrize("lang", ["ja", "es", "ar"])
def test_sentences_have_the_ids_of_the_reference(lang):
    if lang == "ja":
        text25.needs_japanese()
    rows = [row for row in OTHERS if row["lang"] == lang]

    assert len(rows) == 40
    for row in rows:
        script = prepare(row["input"], lang)
        assert words(script) == [row["text"]], row["input"]
        assert {segment.language for segment in script.segments} == {row["lang_id"]}


@pytest.mark.parametrize("lang", ["ja", "es", "ar"])
def test_published_ranks_give_the_ids_of_the_reference(lang):
    tokenizer = text25.published()
    if lang == "ja":
        text25.needs_japanese()
    for row in (row for row in OTHERS if row["lang"] == lang):
        script = prepare(row["input"], lang, tokenizer)
        assert [[*segment.ids, 1] for segment in script.segments] == row["ids"], row["input"]


def test_japanese_without_its_packages_is_refused_with_the_line_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fugashi", None)
    japanese._tagger.cache_clear()

    with pytest.raises(InputError, match=r"pip install 'indextts-jax\[ja\]'"):
        prepare("今日は", "ja")
    monkeypatch.undo()
    japanese._tagger.cache_clear()


def test_spaces_around_a_text_are_not_spoken():
    assert words(prepare(" hola \n", "es")) == ["HOLA"]
    assert words(prepare(" hola ", "es", compat=True)) == [" HOLA "]


def test_japanese_keeps_what_follows_a_null():
    text25.needs_japanese()
    assert prepare("今日は\0良い", "ja").normalised == "今日 は 良い"


def test_mark_up_without_effect_in_japanese_is_named():
    text25.needs_japanese()
    script = prepare("<東京|TOKYO>の<今日|きょう>", "ja")

    assert script.warnings == (
        "<東京|TOKYO>: in Japanese only a reading in kana has an effect; this one is read as "
        "written",
    )


def test_a_glossary_without_effect_is_named():
    script = prepare("hola", "es", glossary=Glossary.of({"hola": "adiós"}))

    assert script.warnings == ("the glossary has no effect in the language es",)


def test_characters_without_a_token_are_named_with_their_place():
    script = prepare("hi 😀\n好 𠮷", "en", text25.published(), compat=True)

    assert [(u.piece, u.line, u.column) for u in script.unknown] == [("😀", 1, 4), ("𠮷", 2, 3)]
    assert text_notices(script) == [
        "the tokenizer does not know: 😀 at character 4, 𠮷 at line 2, character 3"
    ]
    with pytest.raises(InputError, match="the tokenizer does not know 😀 at character 4"):
        prepare("hi 😀", "en", text25.published(), compat=True, strict=True)


def test_a_text_of_signs_alone_is_refused():
    with pytest.raises(InputError, match="the tokenizer knows no piece of the text: 😀"):
        text_notices(prepare("😀", "es", text25.published()))


def test_a_language_that_the_version_lacks_is_refused():
    with pytest.raises(InputError, match="language 'klingon': expected auto"):
        prepare("hi", "klingon")


def test_quick_tokens_are_refused_where_they_have_no_effect():
    with pytest.raises(InputError, match="quick_tokens has no effect with text_compat"):
        prepare("hi", "en", compat=True, quick_tokens=1)


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(InputError, match="the text is not Unicode at character 2"):
        prepare("a\ud800")


@pytest.mark.parametrize(
    ("text", "language", "least", "most"),
    [
        ("مرحبا بالعالم، كيف حالك؟", "ar", 1.5, 4.0),
        ("¿Cuánto cuestan 25 manzanas?", "es", 1.5, 5.0),
        ("привет мир", "ru", 0.5, 2.5),
        ("你<好|HAO3>", "zh", 0.3, 0.8),
    ],
)
def test_texts_of_all_scripts_take_time(text, language, least, most):
    assert least < prepare(text, language).segments[0].duration.usual < most


def test_a_front_end_is_shared_by_threads():
    frontend = MultilingualFrontend(text25.small(), TextSettings(), "auto")
    texts = ["I have 3 cats.", "我有3只猫。", "¿Qué hora es?"] * 4
    alone = [frontend.prepare(text) for text in texts]
    together = [None] * len(texts)

    def work(index):
        together[index] = frontend.prepare(texts[index])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
