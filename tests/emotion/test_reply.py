"""Replies of the text-to-emotion model, read as the reference reads them."""

import json

import pytest
import support

from indextts_jax.config import EMOTIONS
from indextts_jax.emotion.reply import LABELS, MOST, ReplyError, read_reply


def rows():
    path = support.DATA / "text" / "emotion.jsonl"
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in found if row["options"]["fn"] == "emotion_from_model_text"]


@pytest.mark.parametrize(
    "row", rows(), ids=lambda row: f"{row['input']}/{row['options']['user_text']}"
)
def test_every_recorded_reply_is_read_as_by_the_reference(row):
    text = row["options"]["user_text"]
    if row["output"] is None:
        with pytest.raises(ReplyError, match="emotion model"):
            read_reply(row["input"], text)
    else:
        values = read_reply(row["input"], text).values
        assert dict(zip(EMOTIONS, values, strict=True)) == row["output"]


@pytest.mark.parametrize(("label", "emotion"), [*zip(LABELS, EMOTIONS, strict=True)])
@pytest.mark.parametrize("form", ['"{}"', '{{"label": " {} "}}', '{{"情绪": "{}"}}'])
def test_an_emotion_may_be_named_in_either_language(label, emotion, form):
    alone = tuple(float(name == emotion) for name in EMOTIONS)
    assert read_reply(form.format(label), "x").values == alone
    assert read_reply(form.format(emotion.upper()), "x").values == alone


def test_a_weight_may_name_another_emotion():
    values = read_reply('{"高兴": "afraid", "悲伤": 0.25}', "x").values
    assert values == (0.0, 0.0, 0.25, 1.0, 0.0, 0.0, 0.0, 0.0)


def test_the_first_key_that_names_an_emotion_counts():
    values = read_reply(
        '{"情绪": "sad", "label": "nonsense", "emotion_label": "angry"}', "x"
    ).values
    assert values == (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_weights_are_held_within_their_bounds():
    assert read_reply('{"高兴": 7, "愤怒": -7}', "x").values[:2] == (MOST, 0.0)


def test_calm_stands_in_where_nothing_is_above_zero():
    assert read_reply('{"高兴": -0.5}', "x") == ((0.0,) * 7 + (1.0,), True)
    assert not read_reply('{"自然": 0.5}', "x").nothing


@pytest.mark.parametrize(
    "word", ["低落", "melancholy", "Melancholic", "depression", "Depressed", "gloomy"]
)
def test_each_word_of_melancholy_exchanges_it_with_sadness(word):
    values = read_reply('{"悲伤": 0.7}', f"so {word} am I").values
    assert values == (0.0, 0.0, 0.0, 0.0, 0.0, 0.7, 0.0, 0.0)


@pytest.mark.parametrize("reply", ['{"高兴": NaN}', '{"高兴": [1]}', '{"高兴": {}}', "高兴: ."])
def test_non_number_is_an_error(reply):
    with pytest.raises(ReplyError, match="emotion model"):
        read_reply(reply, "x")


def test_an_endless_reply_is_shortened_in_the_message():
    with pytest.raises(ReplyError) as error:
        read_reply("高兴: 1.2.3 " + 10_000 * "x", "x")
    assert len(str(error.value)) < 300
