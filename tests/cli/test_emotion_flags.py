"""The emotion's flags: which go together, which do not, and what they come to."""

import itertools

import pytest

from indextts_jax import synth
from indextts_jax.cli import emotion_flags, runner
from indextts_jax.errors import InputError

# Every flag of the emotion, with a value.
FLAGS = {
    "text": "--emotion_text=So tired.",
    "from_text": "--emotion_from_text",
    "weights": "--emotion_weights=0.5,0,0,0,0,0,0,0.25",
    "prompt": "--emotion=sad.wav",
    "alpha": "--emotion_alpha=0.3",
    "random": "--emotion_random",
    "bias": "--emotion_bias",
}
# Which settings each source takes; two sources never go together.
SETTINGS = {
    None: set(),
    "prompt": {"alpha"},
    "weights": {"alpha", "random", "bias"},
    "text": {"alpha", "random"},
    "from_text": {"alpha", "random"},
}


def parse(*argv):
    flags = runner.parse(["--checkpoint=x", *argv], synth.define)
    return emotion_flags.parse(flags, "Good night.")


@pytest.mark.parametrize("given", list(itertools.product((False, True), repeat=7)))
def test_every_combination_is_taken_whole_or_refused(given):
    asked = [name for name, there in zip(FLAGS, given, strict=True) if there]
    sources = [name for name in asked if name in SETTINGS]
    argv = [FLAGS[name] for name in asked]
    source = sources[0] if sources else None
    if len(sources) > 1 or set(asked) - {source} - SETTINGS[source]:
        with pytest.raises(InputError, match="--emotion"):
            parse(*argv)
        return
    emotion = parse(*argv)
    assert emotion.text == {"text": "So tired.", "from_text": "Good night."}.get(source)
    assert emotion.weights == (
        (0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25) if source == "weights" else None
    )
    assert emotion.prompt == ("sad.wav" if source == "prompt" else None)
    assert emotion.alpha == (0.3 if "alpha" in asked else None)
    assert (emotion.random, emotion.bias) == ("random" in asked, "bias" in asked)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("text", "weights"), "--emotion_weights is ignored because --emotion_text is set"),
        (("from_text", "prompt"), "--emotion is ignored because --emotion_from_text is set"),
        (("weights", "prompt"), "--emotion is ignored because --emotion_weights is set"),
        (("text", "from_text"), "--emotion_text and --emotion_from_text are mutually exclusive"),
        (("alpha",), "--emotion_alpha needs an emotion prompt, weights or text"),
        (("prompt", "random"), "--emotion_random needs emotion weights or text"),
        (("text", "bias"), "--emotion_bias needs emotion weights"),
    ],
)
def test_ignored_flags_are_reported(names, line):
    with pytest.raises(InputError) as error:
        parse(*(FLAGS[name] for name in names))
    assert str(error.value).startswith(line)


def test_blank_words_are_refused():
    with pytest.raises(InputError, match="emotion_text is empty"):
        parse("--emotion_text= ")


def test_the_demo_reads_no_emotion():
    flags = runner.parse(["--demo", FLAGS["text"]], synth.define)
    with pytest.raises(InputError, match="the demo model cannot read emotion from text"):
        emotion_flags.parse(flags, "Good night.")


@pytest.mark.parametrize("given", ["happy=0.5", "sad", "happy=0.5,calm=0.1", "0,0,1,0,0,0,0,0"])
def test_weights_given_as_a_recording_get_the_name_of_their_flag(given):
    with pytest.raises(InputError, match="weights go to --emotion_weights"):
        parse(f"--emotion={given}")


def test_recording_named_like_an_emotion_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sad").write_bytes(b"")

    assert parse("--emotion=sad").prompt == "sad"
