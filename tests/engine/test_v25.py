"""IndexTTS-2.5 through the library: language, voices, recipes, batches, and what is refused."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from models_under_test import model

from indextts_jax.config import RELEASES, RunConfig, bundled_config
from indextts_jax.emotion.request import Emotion
from indextts_jax.engine.acoustic import Line, condition_rows
from indextts_jax.engine.pace import Timing, frames_of
from indextts_jax.engine.recipe import FORMAT, Recipe, from_comment, to_comment
from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket
from indextts_jax.runtime.precision import place_params
from indextts_jax.runtime.versions.interface import Conditions
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.utils.hashing import FileHash
from indextts_jax.voices import store
from indextts_jax.voices.analysis import Voice

BOTH = ("tiny", "tiny25")


def blank(name: str) -> Voice:
    """A voice of noise, of the right shapes."""
    cfg, draw = model(name).config, np.random.default_rng(0)

    def noise(*shape: int) -> jnp.ndarray:
        return jnp.asarray(draw.normal(size=(1, *shape)), jnp.float32)

    return Voice(
        latents=noise(cfg.gpt.conditioning_latents, cfg.gpt.width),
        base=noise(cfg.gpt.width),
        own=noise(cfg.gpt.width),
        style=noise(cfg.style_encoder.style),
        mel=noise(128, cfg.mel.mels),
        condition=noise(128, cfg.dit.condition),
        frames=100,
        quantized=noise(128, cfg.semantic_encoder.width),
        codes=58,
        source=FileHash(name="anna.wav", size=1, sha256="0" * 64),
    )


def recipe(language: str | None, timing: Timing) -> Recipe:
    return Recipe(
        format=FORMAT,
        created="2026",
        versions=(),
        device="cpu",
        checkpoint="c",
        dtype=None,
        samples="s",
        text="hola",
        speaker=FileHash(name="anna.wav", size=1, sha256="0" * 64),
        emotion=Emotion(),
        seed=1,
        settings=Settings(timing=timing),
        language=language,
    )


def test_a_version_has_the_sections_of_its_release() -> None:
    ours, other = bundled_config("indextts2_5"), bundled_config("indextts2")
    assert (ours.version, other.version) == ("2.5", "2.0")
    with pytest.raises(ValueError, match=r"gpt is not that of IndexTTS-2\.5"):
        dataclasses.replace(ours, gpt=other.gpt)
    with pytest.raises(ValueError, match=r"version must be 2\.0 or 2\.5, got '3'"):
        dataclasses.replace(ours, version="3")
    assert set(RELEASES) == {"2.0", "2.5"}


def test_a_language_is_for_2_5_only() -> None:
    with pytest.raises(InputError, match=r"language 'es': this checkpoint is IndexTTS-2, "):
        IndexTTS(model("tiny")).script("hola", language="es")
    assert IndexTTS(model("tiny")).script("hello", language="auto").segments


@pytest.mark.parametrize(
    ("text", "language", "row"),
    [("hola a todos", "es", 3), ("hello there", None, 0), ("你好", "auto", 1), ("hi", "FR", 6)],
)
def test_the_language_of_a_request_reaches_the_gpt(text: str, language: str, row: int) -> None:
    tts = IndexTTS(model("tiny25"))
    (spoken,) = tts.script(text, language=language).segments
    voice = blank("tiny25")
    line = Line(spoken.ids, voice, voice.base, spoken.language)
    conditions = condition_rows(tts.model, [line])
    assert conditions.languages is not None
    assert conditions.languages.tolist() == [row]
    assert conditions.text_lengths.tolist() == [len(spoken.ids)]


def test_the_condition_of_a_prompt_is_made_from_continuous_features() -> None:
    features, length = jnp.ones((1, 9, 40)), jnp.asarray([7])
    made = version_of(bundled_config("indextts2_5")).prompt_features(
        model("tiny25"), features, length
    )
    assert made.codes is None
    assert made.features is features


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(InputError, match="language 'klingon': expected auto"):
        IndexTTS(model("tiny25")).script("hello", language="klingon")


@pytest.mark.parametrize(("made", "loaded"), [BOTH, BOTH[::-1]])
def test_a_voice_of_the_other_version_is_refused_by_name(tmp_path, made, loaded) -> None:
    voice, config = blank(made), model(made).config
    arrays = {name: np.asarray(getattr(voice, name)) for name in store._ARRAYS}
    record = store.VoiceRecord(
        format=store.FORMAT,
        created="2026",
        source=voice.source,
        heard=1.0,
        checkpoint="c",
        digest="",
        version=config.version,
    )
    record = dataclasses.replace(record, digest=store.digest_of(arrays, record))
    data = store.packed(arrays, record)
    assert (b'"version\\": \\"2.5' in data) == (made == "tiny25")
    path = tmp_path / "anna.safetensors"
    path.write_bytes(data)
    names = {"tiny": "IndexTTS-2", "tiny25": r"IndexTTS-2\.5"}
    match = f"was made with {names[made]}, but this checkpoint is {names[loaded]}: make it again"
    with pytest.raises(InputError, match=match):
        store.load_voice(model(loaded), path)


def test_recipes_hold_language_and_factor_only_where_they_are_set() -> None:
    plain = to_comment(recipe(None, Timing()))
    assert "language" not in plain
    assert "duration_factor" not in plain
    made = recipe("es", Timing(duration_factor=1.25))
    assert from_comment(to_comment(made), "a.wav") == made
    assert from_comment(plain, "a.wav").request(blank("tiny"), None).language is None


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 1.3])
def test_a_factor_stretches_the_frames_of_2_5_as_the_reference_does(factor: float) -> None:
    config = bundled_config("indextts2_5")
    codes = list(range(1, 300))
    frames = frames_of(codes, Timing(duration_factor=factor), 0, config)
    assert frames == [max(1, int((2 * count * 1.72) * factor)) for count in codes]


@pytest.mark.parametrize("speed", [0.8, 1.25, 1.6])
def test_a_speed_is_the_inverse_of_a_factor(speed: float) -> None:
    config = bundled_config("indextts2_5")
    codes = list(range(1, 300))
    frames = frames_of(codes, Timing(speed=speed), 0, config)
    assert frames == [max(1, int((2 * count * 1.72) * (1 / speed))) for count in codes]


def test_every_code_gives_two_valid_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = model("tiny25")
    monkeypatch.setattr(stages, "decode_codes", lambda _, codes, lengths: jnp.zeros((2, 16, 1)))
    lengths = jnp.asarray([8, 5], jnp.int32)
    text = jnp.zeros((2, 3), jnp.int32)
    unused = Conditions(jnp.zeros((2, 1, 4)), jnp.zeros((2, 4)), text, lengths)
    rows = version_of(tiny.config).code_rows(tiny, unused, jnp.zeros((2, 8), int), lengths)
    assert rows.lengths.tolist() == [16, 10]


@pytest.mark.parametrize(
    ("timing", "match"),
    [
        ({"duration_factor": 2.5}, "duration_factor must be 0.5 to 2.0"),
        ({"duration_factor": 1.5, "speed": 0.8}, "mutually exclusive"),
        ({"duration_factor": 1.5, "duration": 8.0}, "mutually exclusive"),
    ],
)
def test_a_factor_is_checked(timing: dict[str, float], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Timing(**timing)


@pytest.mark.nightly
def test_texts_of_two_languages_in_a_batch_have_the_codes_that_they_have_alone() -> None:
    tts, voice = IndexTTS(model("tiny25")), blank("tiny25")
    settings = Settings(steps=1, max_codes=12)
    requests = [
        Request(text="hola a todos", voice=voice, seed=1, settings=settings, language="es"),
        Request(text="你好!", voice=voice, seed=2, settings=settings, language="zh"),
        Request(text="hello", voice=voice, seed=3, settings=settings, language="en"),
    ]
    alone = [tts.speak(one) for one in requests]
    together = tts.speak_many(requests, settings=dataclasses.replace(settings, batch=2))
    for one, other in zip(alone, together, strict=True):
        assert [s.codes for s in one.segments] == [s.codes for s in other.segments]
        np.testing.assert_allclose(one.samples, other.samples, atol=1e-4)


@pytest.mark.nightly
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
def test_it_speaks_in_half_precision(dtype: str) -> None:
    exact, run = model("tiny25"), RunConfig(dtype=dtype)
    params = {
        name: place_params(name, dict(exact.params[name]), exact.config, run)
        for name in exact.params
    }
    tts = IndexTTS(dataclasses.replace(exact, params=params, run=run))
    settings = Settings(steps=1, max_codes=8)
    speech = tts.speak("hello", blank("tiny25"), settings=settings, language="en")
    assert np.isfinite(speech.samples).all()
    assert bucket(8, exact.buckets.codes) == 64
