"""An output reproduced from the recipe stored in it."""

import dataclasses
import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import golden_copies
import pytest
import support
from command_runs import SPOKEN
from command_runs import run_synth as synth

from indextts_jax import replay
from indextts_jax.audio.output import read_comment
from indextts_jax.cli import runner
from indextts_jax.emotion.request import Emotion
from indextts_jax.engine import recipe
from indextts_jax.engine.pace import Timing
from indextts_jax.engine.recipe import Recipe, from_comment, to_comment
from indextts_jax.engine.recipe_text import format_recipe
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.speech import Speech
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.runtime import cache_folder
from indextts_jax.sampling.generate import SamplingConfig
from indextts_jax.text.glossary import Glossary
from indextts_jax.utils.hashing import FileHash, Version
from indextts_jax.voices import store
from indextts_jax.voices.analysis import EmotionPrompt
from indextts_jax.voices.store import VoiceRecord

HASH = FileHash(name="a.wav", size=3, sha256="0" * 64)


def made(settings: Settings) -> Recipe:
    return Recipe(
        format=recipe.FORMAT,
        created="2026-01-01T00:00:00+00:00",
        versions=(Version(package="jax", version="1"),),
        device="CPU",
        checkpoint="1" * 64,
        dtype=None,
        samples="2" * 64,
        text="你好 \U0001f600 \n\"'",
        speaker=HASH,
        emotion=Emotion(prompt=EmotionPrompt(None, HASH, 1.5), weights=(0.1, 1 / 3) * 4),
        seed=2**32 - 1,
        settings=settings,
    )


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(
            sampling=SamplingConfig(beams=1, temperature=1 / 3, typical_sampling=True),
            max_codes=7,
            guidance=0.1 + 0.2,
            timing=Timing(duration=1 / 7),
            glossary=Glossary.of({"C++": {"zh": "C加加", "en": "C plus plus"}}),
            retries=2,
            batch=5,
        ),
    ],
)
def test_a_recipe_comes_back_from_its_comment(settings: Settings) -> None:
    comment = to_comment(made(settings))
    assert comment.isascii()
    assert from_comment(comment, "a.wav") == made(settings)


def test_a_recipe_of_format_1_is_read() -> None:
    """As the first program wrote it: the request apart, its emotion in pieces."""
    new = made(Settings(steps=3))
    data = json.loads(to_comment(new).removeprefix("indextts_jax "))
    names = ("text", "speaker", "speaker_start", "seed", "settings")
    request = {name: data.pop(name) for name in names}
    emotion = data.pop("emotion")
    request["emotion"] = emotion["prompt"]["source"]
    request["emotion_start"] = emotion["prompt"]["start"]
    request |= {f"emotion_{name}": emotion[name] for name in ("alpha", "weights", "random", "bias")}
    old = "indextts_jax " + json.dumps({**data, "format": 1, "request": request})
    assert from_comment(old, "a.wav") == new


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("", "holds no recipe"),
        ("made by hand", "holds no recipe"),
        ("indextts_jax {", "its recipe is damaged"),
        ("indextts_jax []", "the format is missing"),
        ('indextts_jax {"format": 99}', "format 99, from a newer program"),
        ('indextts_jax {"format": 1}', "its recipe is damaged"),
        ('indextts_jax {"format": 2}', "missing key"),
        ('indextts_jax {"format": 2, "glossary": 2.5}', "glossary: expected terms"),
    ],
)
def test_foreign_comment_is_rejected(comment: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        from_comment(comment, "a.wav")
    assert "a.wav" in str(caught.value)


def run(*argv: str) -> int:
    return runner.execute(
        replay.main,
        replay.define,
        name="replay",
        summary="",
        common=replay.COMMON,
        positional=replay.POSITIONAL,
        argv=argv,
    )


NAMES = ("out.flac", "out.wav", "out.ogg", "out.mp3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint, which is loaded once, a recording, and what was spoken with them."""
    folder = tmp_path_factory.mktemp("replay")
    shutil.copytree(golden_copies.shared(), folder / "tiny")
    shutil.copy(support.TINY / "speaker.wav", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
        patch.chdir(folder)
        argv = ["--checkpoint=tiny", "--speaker=speaker.wav", "--steps=2", "--max_codes=24"]
        patch.setattr(IndexTTS, "open", functools.cache(IndexTTS.open))
        patch.setattr(IndexTTS, "release_encoders", lambda self: None)  # they are needed again
        speak, said = IndexTTS.speak, list[Speech]()

        def once(*given: Any, **more: Any) -> Speech:
            if not said:
                said.append(speak(*given, **more))
            return said[0]

        with patch.context() as inner:
            inner.setattr(IndexTTS, "speak", once)
            for name in NAMES:
                assert synth(*argv, "--text=Hello world.", "--seed=3", f"--output={name}") in SPOKEN
        part = ("--text=Hello world.", "--prompt_excerpt=0.5", "--output=part.flac")
        assert synth(*argv, *part) in SPOKEN
        yield folder


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache_folder, "enable_compilation_cache", lambda: None)
    monkeypatch.chdir(folder)
    return folder


def test_an_output_is_made_again_bit_for_bit(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("out.flac", "--checkpoint=tiny", "--speaker=speaker.wav") == 0
    assert "equal to out.flac, bit for bit" in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_file_carries_the_recipe(here: Path, name: str) -> None:
    first, other = (from_comment(read_comment(n), n) for n in (NAMES[0], name))
    assert dataclasses.replace(other, created=first.created) == first


def test_replay_uses_the_same_excerpt(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("part.flac", "--checkpoint=tiny", "--speaker=speaker.wav") == 0
    source = from_comment(read_comment("part.flac"), "part.flac").speaker
    kept = VoiceRecord(
        format=store.FORMAT,
        created="",
        source=source,
        heard=3.0,
        checkpoint="",
        digest="",
        version="2.0",
    )
    monkeypatch.setattr(store, "read_record", lambda path: kept)
    capsys.readouterr()
    assert run("part.flac", "--checkpoint=tiny", "--voice=anna") == runner.BAD_INPUT
    assert "from second 0 on, but part.flac was made with the excerpt from second 0.5 on" in (
        capsys.readouterr().err
    )


def test_replay_finds_the_prompt_beside_the_output(here: Path) -> None:
    assert run("out.wav", "--checkpoint=tiny", "--output=again.wav") == 0
    first, again = (from_comment(read_comment(n), n) for n in ("out.wav", "again.wav"))
    assert dataclasses.replace(again, created=first.created) == first


def test_no_path_is_written_into_an_output(here: Path) -> None:
    assert str(here) not in read_comment("out.flac")


def test_other_prompts_and_checkpoints_are_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = f"--speaker={support.TINY / 'emotion.wav'}"
    assert run("out.flac", "--checkpoint=tiny", other) == runner.BAD_INPUT
    assert "emotion.wav is not the recording that out.flac" in capsys.readouterr().err
    monkeypatch.setattr(recipe, "fingerprint", lambda model: "f" * 64)
    assert run("out.flac", "--checkpoint=tiny") == runner.BAD_INPUT
    assert "out.flac was made with another checkpoint" in capsys.readouterr().err


def test_samples_that_differ_are_a_failure(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipe, "hash_samples", lambda samples: "f" * 64)
    assert run("out.flac", "--checkpoint=tiny") == runner.FAILURE
    assert "the samples differ from those of out.flac, which was made on CPU" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give the audio file"),
        (["none.flac"], "none.flac cannot be read"),
        (["speaker.wav"], "holds no recipe"),
        (["out.flac"], "give --checkpoint"),
        (["out.flac", "--checkpoint=tiny", "--speaker=none.wav"], "none.wav: No such file"),
        (["out.flac", "--checkpoint=tiny", "--output=a.xyz"], "a.xyz ends in"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    here: Path, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv) == runner.BAD_INPUT
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err


def test_the_description_tells_what_is_not_usual() -> None:
    assert "settings    the defaults\n" in format_recipe(made(Settings()))
    terms = Glossary.of({"C++": "C plus plus"})
    odd = Settings(steps=7, timing=Timing(speed=1.5), glossary=terms)
    assert "settings    steps 7, timing.speed 1.5, glossary of 1\n" in format_recipe(made(odd))


def test_the_recipe_can_be_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("out.flac", "--show") == 0
    out = capsys.readouterr().out
    for word in ("Hello world.", "speaker.wav", "CPU", "seed        3"):
        assert word in out
