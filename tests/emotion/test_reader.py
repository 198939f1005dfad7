"""Emotion from words: the prompt, the tokenizer, and a whole reading by a small model."""

import dataclasses
import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from importers.text_emotion import TextEmotionImporter
from indextts_jax.checkpoint import reading, writing
from indextts_jax.config import bundled_config
from indextts_jax.emotion.prompt import PromptTokenizer, prompt_of
from indextts_jax.emotion.reader import EmotionReader
from indextts_jax.emotion.reply import ReplyError
from indextts_jax.errors import InputError
from indextts_jax.runtime.model import Model

TINY = support.DATA / "qwen" / "tiny"
BPE = (support.CHECKPOINTS / "bpe.model").read_bytes()


@functools.cache
def tokenizer() -> PromptTokenizer:
    return PromptTokenizer((TINY / "tokenizer.json").read_bytes())


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    words = TextEmotionImporter.open(TINY)
    path = tmp_path_factory.mktemp("reader") / "model"
    writing.save(
        path,
        config=words.within(bundled_config("tiny")),
        tokenizer=BPE,
        components=[("text_emotion", jax.tree.map(jnp.asarray, words.read()))],
        emotion_tokenizer=words.tokenizer,
    )
    return EmotionReader.load(path)


def test_the_prompt_is_that_of_the_reference():
    assert prompt_of(" a ") == (
        "System: 文本情感分类<|endoftext|>\nHuman:  a <|endoftext|>\nAssistant:"
    )


def test_prompt_delimiters_are_single_tokens():
    end = tokenizer().id("<|endoftext|>")
    ids = tokenizer().ids(prompt_of("Good <|endoftext|> morning"))
    assert ids.count(end) == 3  # one of them spelled in the text


@pytest.mark.parametrize("number", range(3))
def test_prompts_have_the_tokens_of_the_reference(number):
    texts = (
        "I feel so gloomy, nothing will ever change.",
        "你怎么又把钥匙弄丢了！",
        "A line that the model was never taught: 42?",
    )
    with np.load(TINY / "reference.npz") as arrays:
        assert tokenizer().ids(prompt_of(texts[number])) == arrays[f"prompt_{number}"].tolist()


def test_thoughts_are_not_part_of_a_reply():
    end, thought = tokenizer().id("<|endoftext|>"), tokenizer().id("</think>")
    words = tokenizer().ids("happy")
    assert tokenizer().text([5, thought, 6, thought, *words, end]) == "happy"
    assert tokenizer().text([*words, end]) == "happy"


def test_tokens_and_words_are_those_of_transformers():
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(TINY)
    text = prompt_of("Ünïcode ﬁ, 数字 123 and\ttabs\n<think> </think> <|im_end|>")
    ids = tokenizer().ids(text)
    assert ids == theirs(text)["input_ids"]
    assert tokenizer().tokenizer.decode(ids, skip_special_tokens=True) == theirs.decode(
        ids, skip_special_tokens=True
    )
    turns = [
        {"role": "system", "content": "文本情感分类"},
        {"role": "user", "content": " a <b> "},
    ]
    rendered = theirs.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert rendered == prompt_of(" a <b> ")


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("你怎么又把钥匙弄丢了！", (0, 0.9, 0, 0, 0.05, 0, 0.05, 0)),
        ("The train leaves at nine.", (0, 0, 0, 0, 0, 0, 0, 1)),
        # The model says 0.75 sad and 0.1 melancholic; the word gloomy exchanges them.
        ("I feel so gloomy, nothing will ever change.", (0, 0, 0.1, 0, 0, 0.75, 0, 0.15)),
    ],
)
def test_a_text_is_read(reader, text, weights):
    reading = reader.read(text)
    assert reading.weights == weights
    assert reading.reply.startswith('{"高兴": 0.0, "愤怒": ')
    assert not reading.nothing


def test_a_reading_names_what_is_not_zero(reader):
    assert str(reader.read("窗外忽然传来一声尖叫。")) == "afraid 0.7, surprised 0.3"


def test_a_reply_that_cannot_be_read_is_shown(reader):
    with pytest.raises(ReplyError, match=r"no readable numbers: .*高兴"):
        reader.read("A line that the model was never taught: 42?")


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_blank_text_is_refused(reader, text):
    with pytest.raises(InputError, match="emotion text is empty"):
        reader.read(text)


def test_a_text_that_is_too_long_is_refused_with_numbers(reader):
    with pytest.raises(InputError, match=r"has 8,0\d\d tokens .* at most 3,584"):
        reader.read("x " * 4000)


def test_a_reply_without_an_end_is_an_error(reader):
    section = dataclasses.replace(reader.model.config.text_emotion, reply_tokens=9)
    config = dataclasses.replace(reader.model.config, text_emotion=section)
    hasty = EmotionReader(Model(config, reader.model.params, reader.model.tokenizer), tokenizer())
    with pytest.raises(ReplyError, match="did not end after 9 tokens"):
        hasty.read("The train leaves at nine.")


def test_missing_model_explains_how_to_add_it(tmp_path):
    config = bundled_config("tiny")
    writing.save(tmp_path / "a", config=config, tokenizer=BPE, components=[])
    with pytest.raises(InputError, match=r"has no text_emotion.*--components text_emotion --src"):
        EmotionReader.load(tmp_path / "a")


def test_a_checkpoint_whose_tokenizer_was_changed_is_refused(reader, tmp_path):
    words = TextEmotionImporter.open(TINY)
    writing.save(
        tmp_path / "a",
        config=words.within(bundled_config("tiny")),
        tokenizer=BPE,
        components=[],
        emotion_tokenizer=words.tokenizer,
    )
    copy = shutil.copytree(tmp_path / "a", tmp_path / "b")
    path = copy / reading.EMOTION_TOKENIZER
    path.write_bytes(path.read_bytes().replace(b"<think>", b"<blink>"))
    with pytest.raises(InputError, match=r"text_emotion_tokenizer\.json"):
        reading.open_checkpoint(copy)
