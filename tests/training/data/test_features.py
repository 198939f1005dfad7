"""Features out of the networks: those that `synth` gets, alone or in a batch."""

import shutil
from pathlib import Path

import models_under_test
import numpy as np
import pytest
import soundfile
import speech_sets
import support

from indextts_jax.audio.io import load_audio, resample
from indextts_jax.errors import InputError
from indextts_jax.runtime import stages
from indextts_jax.training.data import features, flow_mels, prepare
from indextts_jax.training.data.estimate import estimate
from indextts_jax.training.data.index import FEATURES
from indextts_jax.training.data.job import Job
from indextts_jax.training.data.prepared import Prepared
from indextts_jax.training.data.rows.checks import Limits
from indextts_jax.training.data.rows.manifest import Reading, Source, read_manifests
from indextts_jax.training.data.rows.survey import survey
from indextts_jax.training.versions import v20
from indextts_jax.utils.hashing import digest
from indextts_jax.voices.analysis import analyse_emotion, analyse_voice, semantic


def test_recipes_bring_what_their_features_are_made_of() -> None:
    made = features.features_for(["flow"], "2.0")
    assert set(made) == {
        "text", "codes", "style", "conditioning", "emotion", "emotion_prompt", "latents", "mel",
    }  # fmt: skip
    assert made == tuple(name for name in FEATURES if name in made)
    assert features.components_of(made, "2.0") == (
        "semantic_encoder", "semantic_codec", "style_encoder", "conditioning", "gpt",
    )  # fmt: skip
    with pytest.raises(InputError, match="unknown recipe 'voice'"):
        features.features_for(["voice"], "2.0")


@pytest.mark.parametrize("samples", [22050, 22051, 30000, 44444, 90570, 220500])
def test_the_number_of_codes_is_known_from_the_samples(samples: int) -> None:
    signals = features.host_features(
        speech_sets.speech(samples / 22050)[:samples], support.tiny_config(), {"encoder_input"}
    )
    assert features.feature_count(samples, 22050) == len(signals.arrays["encoder_input"])


def test_names_depend_on_what_a_feature_is_made_of_and_on_nothing_else() -> None:
    config = support.tiny_config()
    prints = {name: name for name in features.components_of(v20.NETWORKS, "2.0")}

    def name(feature: str, audio: str = "a", **changed: str) -> str:
        return features.array_name(feature, config, {**prints, **changed}, audio)

    assert name("style") == name("style", gpt="x")
    assert name("style") != name("style", style_encoder="x")
    assert name("style") != name("style", "b")
    assert name("codes") != name("codes", semantic_codec="x")
    assert name("mel") == name("mel", semantic_encoder="x")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("set")
    manifest = speech_sets.write_set(folder, 3, seconds=2.1, speakers=1)
    soundfile.write(folder / "lone.wav", speech_sets.speech(2.4, 78), 22050)
    soundfile.write(folder / "mood.wav", speech_sets.speech(2.0, 77), 22050)
    first, *rest = manifest.read_text().splitlines()
    first = f'{first[:-1]}, "emotion_audio": "mood.wav"}}'
    lone = '{"audio": "lone.wav", "text": "a cat runs north.", "speaker": "lone"}'
    manifest.write_text("\n".join([first, *rest, lone]))
    model = models_under_test.model("tiny")
    job = Job(
        version="2.0",
        dst=folder / "out",
        recipes=("gpt", "flow", "conditioning", "vocoder_flow"),
        limits=Limits(min_clips=2, min_minutes=0),
        batch_seconds=12,
        validation=0,
        own_prompts=True,
    )
    found = survey(
        read_manifests([Source(manifest)], Reading()), job, model.config, model.tokenizer
    )
    data, made = prepare.write(found, job, model.config, model.tokenizer, model)
    assert made["latents"] == 4
    assert made["emotion_prompt"] == 1
    return data


@pytest.mark.nightly
def test_features_in_batches_are_those_of_the_voice(prepared: Prepared) -> None:
    model, folder = models_under_test.model("tiny"), prepared.folder.parent
    for row in prepared.rows:
        voice = analyse_voice(model, folder / row.audio)
        assert voice.codes == row.codes
        assert voice.frames == row.frames
        np.testing.assert_allclose(
            prepared.read(row, "style"), np.asarray(voice.style[0]), rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(
            prepared.read(row, "emotion"), np.asarray(voice.base[0]), rtol=1e-4, atol=1e-4
        )
        if row.speaker == "lone":
            continue  # see below
        latents = np.asarray(voice.latents[0])
        found = prepared.read(row, "conditioning").astype(np.float32)
        assert np.abs(found - latents).max() < 2**-7 * np.abs(latents).max()  # of bfloat16


@pytest.mark.nightly
def test_preparing_for_the_style_keeps_what_networks_made(
    prepared: Prepared, tmp_path: Path
) -> None:
    """Without a model: what it made holds as long as clips and prompts are the same."""
    model = models_under_test.model("tiny")
    shutil.copytree(prepared.folder.parent, tmp_path / "copy")
    job = Job(
        version="2.0",
        dst=tmp_path / "copy/out",
        recipes=("style",),
        limits=Limits(min_clips=2, min_minutes=0),
        validation=0,
    )
    clips = read_manifests([Source(tmp_path / "copy/clips.jsonl")], Reading(text=False))
    found = survey(clips, job, model.config, None)
    told = estimate(found, job, model.config, None)
    data, made = prepare.write(found, job, model.config, None)
    assert made == {"banks": 4}
    assert told.clips == 4
    assert told.bytes == sum(data.read(row, "banks").nbytes for row in data.rows)
    for row in prepared.rows:
        assert dict(data.keys[row.id]) | dict(prepared.keys[row.id]) == dict(data.keys[row.id])
    assert data.rows == prepared.rows
    assert data.settings.components == prepared.settings.components
    assert data.settings.own_prompts


@pytest.mark.nightly
def test_the_estimate_knows_the_bytes(tmp_path: Path) -> None:
    model = models_under_test.model("tiny")
    manifest = speech_sets.write_set(tmp_path, 4, seconds=2.1, speakers=1)
    limits = Limits(min_clips=2, min_minutes=0)
    job = Job(version="2.0", dst=tmp_path / "out", limits=limits, batch_seconds=6, validation=0)
    clips = read_manifests([Source(manifest)], Reading())
    found = survey(clips, job, model.config, model.tokenizer)
    told = estimate(found, job, model.config, model)
    assert not (tmp_path / "out/index.jsonl").exists()
    data, _ = prepare.write(found, job, model.config, model.tokenizer, model)
    names = {name for by in data.keys.values() for name in by.values()}
    assert (told.clips, told.tried) == (4, 2)
    assert told.bytes == sum(data.shards[name].nbytes for name in names)
    assert told.seconds > 0
    assert estimate(found, job, model.config, model).clips == 0


@pytest.mark.nightly
def test_codes_are_those_of_the_semantic_features(prepared: Prepared) -> None:
    model, row = models_under_test.model("tiny"), prepared.rows[1]
    wide = load_audio(prepared.folder.parent / row.audio, 22050)
    hidden, length = semantic(model, resample(wide, 22050, 16000))
    codes = np.asarray(stages.quantize(model, hidden, length)[0])[0, : int(length[0])]
    np.testing.assert_array_equal(prepared.read(row, "codes"), codes)
    expected = np.asarray(hidden)[0, : int(length[0])]
    np.testing.assert_allclose(prepared.read(row, "semantic"), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.nightly
def test_latents_use_the_voice_of_another_clip(prepared: Prepared) -> None:
    """Of one of the other two clips, never of the clip itself."""
    model = models_under_test.model("tiny")
    for row in prepared.rows[:3]:
        found = prepared.read(row, "latents").astype(np.float32)
        errors = {}
        for prompt in prepared.rows[:3]:
            coded = features.Coded(
                prepared.read(prompt, "conditioning"),
                prepared.read(prompt, "emotion"),
                prepared.read(row, "text"),
                prepared.read(row, "codes"),
            )
            (alone,) = features.code_latents(model, [coded], 1)
            errors[prompt.id] = np.abs(alone.astype(np.float32) - found).max()
        assert errors.pop(row.id) > 0.05
        assert min(errors.values()) < 0.02  # one step of bfloat16


@pytest.mark.nightly
def test_flow_mel_spans_the_clip_and_depends_on_one_prompt(prepared: Prepared) -> None:
    model = models_under_test.model("tiny")
    row, *others = prepared.rows[:3]
    found = prepared.read(row, "flow_mel").astype(np.float32)
    assert found.shape == (row.frames, model.config.mel.mels)
    errors = []
    for prompt in others:
        coded = flow_mels.Coded(
            codes=prepared.read(row, "codes"),
            latents=prepared.read(row, "latents"),
            frames=row.frames,
            prompt=prepared.read(prompt, "codes"),
            prompt_mel=prepared.read(prompt, "mel"),
            prompt_style=prepared.read(prompt, "style"),
            seed=int(digest([row.id])[:7], 16),
        )
        (alone,) = flow_mels.flow_mels(model, [coded], 1)
        errors.append(np.abs(alone.astype(np.float32) - found).max())
    assert min(errors) < 0.02  # float16
    assert max(errors) > 0.05


@pytest.mark.nightly
def test_own_prompt_uses_half_of_the_clip(prepared: Prepared) -> None:
    model, row = models_under_test.model("tiny"), prepared.rows[3]
    wide = load_audio(prepared.folder.parent / row.audio, 22050)
    hidden, length = semantic(model, resample(wide[: len(wide) // 2], 22050, 16000))
    expected = np.asarray(stages.speaker_latents(model, hidden, length))[0]
    found = prepared.read(row, "conditioning").astype(np.float32)
    assert np.abs(found - expected).max() < 2**-7 * np.abs(expected).max()


@pytest.mark.nightly
def test_an_emotion_prompt_is_analysed_as_synth_does(prepared: Prepared) -> None:
    model, path = models_under_test.model("tiny"), prepared.folder.parent / "mood.wav"
    expected = np.asarray(analyse_emotion(model, Path(path)).vector)[0]
    np.testing.assert_allclose(prepared.read(prepared.rows[0], "emotion_prompt"), expected)
    assert not prepared.has(prepared.rows[1], "emotion_prompt")
