import threading

import pytest
import support

from indextts_jax.errors import InputError
from indextts_jax.text.duration import duration
from indextts_jax.text.frontend import TextFrontend, TextSettings
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.pauses import split_pauses
from indextts_jax.text.tokenizer import Tokenizer

TOKENIZER = Tokenizer(support.DATA / "text" / "bpe_small.model")


def prepare(text, **settings):
    return TextFrontend(TOKENIZER, TextSettings(**settings)).prepare(text)


def said(script):
    return [segment.text for segment in script.segments]


def test_a_text_is_normalised_and_cut():
    script = prepare("I like 3 books, and two songs.", segment_tokens=10)

    assert script.normalised == "I like three books, and two songs."
    assert said(script) == ["I LIKE THREE BOOKS,", "AND TWO SONGS."]
    assert [segment.pause for segment in script.segments] == [0.1, 0.0]
    assert script.segments[0].ids == tuple(TOKENIZER.ids(script.segments[0].pieces))
    assert script.lead == 0


def test_pauses_in_the_text_cut_it():
    script = prepare("[pause 1s] One. [pause 0.8s] Two. [PAUSE 250 ms][pause] Three.", pause=0.1)

    assert said(script) == ["ONE.", "TWO.", "THREE."]
    assert [segment.pause for segment in script.segments] == [0.8, 0.75, 0.0]
    assert script.lead == 1.0


def test_a_pause_at_the_end_is_kept():
    assert [segment.pause for segment in prepare("One. [pause 2s]").segments] == [2.0]


def test_the_pause_between_segments_is_a_setting():
    script = prepare("aaaa. bbbb. cccc.", segment_tokens=6, pause=0.5)

    assert [segment.pause for segment in script.segments] == [0.5] * (len(said(script)) - 1) + [0.0]


@pytest.mark.parametrize("pause", ["[pause long]", "[pause -1s]", "[pause 3 minutes]"])
def test_a_pause_that_cannot_be_read_is_refused(pause):
    with pytest.raises(InputError, match=r"expected a length such as \[pause 0\.8s\]"):
        split_pauses(f"One {pause} two")


def test_a_pause_of_more_than_a_minute_is_refused():
    with pytest.raises(InputError, match="60 s at most"):
        split_pauses("[pause 61s]")


@pytest.mark.parametrize("text", ["[paused] one", "a pause 2s", "[a pause]"])
def test_other_words_in_brackets_are_words(text):
    assert [part.text for part in split_pauses(text)] == [text]


@pytest.mark.parametrize("text", ["", " \n", "...", "[pause 1s]", "?!"])
def test_a_text_with_nothing_to_say_has_no_segments(text):
    assert prepare(text).segments == ()


def test_a_very_short_text_ends_in_a_full_stop():
    assert said(prepare("hi")) == ["HI."]
    assert said(prepare("好")) == ["好 ."]
    assert said(prepare("hi!")) == ["HI!"]
    assert said(prepare("hi", compat=True)) == ["HI"]


def test_a_short_text_has_few_codes_before_it_runs_away():
    short, long = prepare("hi").segments[0], prepare("one two three four five.").segments[0]

    assert 150 < short.most_codes(50) < 250 < long.most_codes(50)


def test_one_character_is_read_too():
    assert said(prepare("5")) == ["五 ."]
    assert said(prepare("5", compat=True)) == ["5"]


def test_compat_reads_and_cuts_as_the_reference():
    script = prepare("我喝茶。'他也喝茶。", compat=True, segment_tokens=8)

    assert said(script) == ["我 喝 茶 .'", "' 他 也 喝 茶 ."]
    assert prepare("A100 GPU", compat=True).normalised == "A1零零 GPU"
    assert prepare("A100 GPU").normalised == "A one hundred GPU"


def test_unknown_pieces_are_reported_with_positions():
    script = prepare("Hi ж there.\nAnd here or there ж.")

    assert [(u.piece.lower(), u.line, u.column) for u in script.unknown] == [
        ("ж", 1, 4),
        ("ж", 2, 19),
    ]
    assert str(script.unknown[0]).lower() == "ж at character 4"
    assert str(script.unknown[1]).lower() == "ж at line 2, character 19"


def test_strict_refuses_what_is_unknown():
    with pytest.raises(InputError, match="the tokenizer does not know Ж at character 4"):
        prepare("Hi ж", strict=True)
    assert prepare("Hi", strict=True).segments
    assert prepare("Hi 😀", strict=True).segments


def test_pinyin_that_does_not_exist_is_named():
    script = prepare("这个字念ZHUNG4，不念xing2。")

    assert script.warnings == (
        "ZHUNG4 is not a pinyin syllable with a tone; it is read as written",
    )


def test_glossary_sets_the_reading_of_terms():
    glossary = Glossary.of({"C++": {"zh": "C加加", "en": "C plus plus"}, "nginx": "engine X"})

    assert prepare("nginx and C++", glossary=glossary).normalised == "engine X and C plus plus"
    assert prepare("用C++写nginx", glossary=glossary).normalised == "用C加加写engine X"


def test_a_quick_start_halves_the_first_segment():
    text = "One two three. " * 12
    usual, quick = (
        prepare(text, segment_tokens=40),
        prepare(text, segment_tokens=40, quick_tokens=1),
    )

    assert len(quick.segments[0].ids) <= 20 < len(usual.segments[0].ids)


def test_half_of_a_character_is_refused():
    with pytest.raises(InputError, match="not Unicode at character 3"):
        prepare("ab\ud83d")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"segment_tokens": 0}, "segment_tokens must be at least 1, got 0"),
        ({"quick_tokens": -1}, "quick_tokens must be 0 or more, got -1"),
        ({"pause": -0.1}, "the pause must be 0 s or more, got -0.1"),
        ({"pause": float("nan")}, "the pause must be 0 s or more, got nan"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        TextSettings(**settings)


def test_threads_may_share_a_frontend():
    frontend = TextFrontend(TOKENIZER)
    texts = [f"我有{n}个苹果，花了{n}.5元。" for n in range(3, 13)]
    alone = [frontend.prepare(text) for text in texts]
    together = {}

    def work(number):
        together[number] = [frontend.prepare(text) for text in texts]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(scripts == alone for scripts in together.values())
    assert len(together) == 4


@pytest.mark.parametrize(
    ("text", "syllables", "share"),
    [
        ("hello world", 3, 1.0),
        ("你好", 2, 0.8517),
        ("你好 hello", 4, 0.8517),
        ("make little", 3, 1.0),
        ("XING2", 1, 1.0),
        ("", 0, 1.0),
    ],
)
def test_seconds_are_estimated_from_syllables(text, syllables, share):
    least, most = duration(text)

    assert least == pytest.approx(syllables * share / 5.5)
    assert most == pytest.approx(syllables * share / 3)
    assert least <= duration(text).usual <= most
