"""IndexTTS-2.5 fine-tuned and exported: recordings, a run of each recipe, and what comes out."""

import dataclasses
import hashlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import soundfile
import speech_sets
from command_runs import SPOKEN, run_import, run_synth
from damage import run
from models_under_test import SETS, model

from importers.library import import_checkpoint
from indextts_jax import export, prepare, train
from indextts_jax.checkpoint import writing
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.emotion.blend import emotion_vector
from indextts_jax.engine import decoding
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.models.length_regulator import stretched_length
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.training.data.prepared import DataSettings, Prepared, Row, create
from indextts_jax.training.trained import open_run

CHECKPOINTS = SETS["tiny25"] / "checkpoints"
COMMON = {
    "steps": 2,
    "compute": "float32",
    "batch.buckets": "[3]",
    "batch.seconds": 6,
    "batch.pieces": 1,
    "optimizer.warmup": 0,
    "optimizer.rate": 1e-2,
    "evaluation.samples": "false",
    "evaluation.every": 2,
}
EVERY = "[trunk, codes, text, positions, conditioning]"
RECIPES = {
    "gpt_lora": {},
    "gpt_full": {"options.train": EVERY},
    "flow_lora": {"options.evaluation_steps": 2},
    "flow_full": {"options.evaluation_steps": 2, "options.own_prompts": 0.5},
}

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small checkpoint, prepared recordings, and a run of each recipe."""
    folder = tmp_path_factory.mktemp("v25")
    assert run_import("--src", CHECKPOINTS, "--dst", folder / "model", "--training") == 0
    manifest = speech_sets.write_set(folder, 6)
    flags = (f"--manifest={manifest}", f"--dst={folder / 'data'}", "--workers=1", "--validation=2")
    model_flags = (f"--checkpoint={folder / 'model'}", "--min_clips=2", "--min_minutes=0")
    assert run(prepare, *flags, *model_flags, "--for=gpt,flow,conditioning") == 0
    for recipe, more in RECIPES.items():
        changes = [f"--set={path}={value}" for path, value in (COMMON | more).items()]
        paths = (f"--data={folder / 'data'}", f"--checkpoint={folder / 'model'}")
        assert run(train, f"--recipe={recipe}", *paths, f"--dst={folder / recipe}", *changes) == 0
    return folder


def test_prepared_clips_have_half_as_many_codes_and_their_language(made: Path) -> None:
    data = Prepared.open(made / "data")
    assert len(data.rows) == 6
    for row in data.rows:
        features = len(data.read(row, "semantic"))
        assert row.codes == len(data.read(row, "codes")) == -(-features // 2)
        assert row.language == "en"
        assert row.tokens == len(data.read(row, "text"))
        assert data.read(row, "conditioning").shape[0] == 1


def say(folder: Path, name: str, *argv: str) -> np.ndarray:
    out = folder / f"{name}.wav"
    fixed = (f"--output={out}", "--text=Hello world.", "--seed=1", "--steps=2", "--max_codes=12")
    assert run_synth(f"--speaker={SETS['tiny25'] / 'speaker.wav'}", *fixed, *argv) in SPOKEN
    samples: np.ndarray = soundfile.read(out, dtype="int16")[0]  # the file has a recipe too
    return samples


def test_adapters_change_speech_and_without_strength_nothing(made: Path) -> None:
    for recipe in ("gpt_lora", "flow_lora"):
        adapter = made / f"{recipe}_adapter"
        assert run(export, f"--run={made / recipe}", "--to=adapter", f"--dst={adapter}") == 0
        peft = ("--format=peft", f"--dst={made / recipe}_peft")
        assert run(export, f"--run={made / recipe}", "--to=adapter", *peft) == 0
        settings = json.loads((made / f"{recipe}_peft/adapter_config.json").read_text())
        assert settings["base_model_name_or_path"].startswith("IndexTeam/IndexTTS-2.5 (")
    use = f"--checkpoint={made / 'model'}"
    base = say(made, "base", use)
    adapted = (use, f"--adapter={made / 'flow_lora_adapter'}")
    off, on = (say(made, f"at{s}", *adapted, f"--adapter_strength={s}") for s in (0, 1))
    np.testing.assert_array_equal(off, base)
    assert len(on) == len(base)
    assert not np.array_equal(on, base)


@pytest.mark.parametrize("recipe", ["gpt_full", "flow_full"])
def test_a_run_comes_back_from_the_published_files(made: Path, recipe: str) -> None:
    trained, files, again = (made / f"{recipe}_{kind}" for kind in ("ours", "files", "again"))
    given = f"--run={made / recipe}"
    assert run(export, given, "--to=checkpoint", f"--dst={trained}") == 0
    assert run(export, given, "--to=published", f"--dst={files}", f"--base={CHECKPOINTS}") == 0
    import_checkpoint(files, again, training=True)
    digests = [
        {part.name: part.digest for part in open_checkpoint(path).provenance.components}
        for path in (made / "model", trained, again)
    ]
    names = sorted(digests[1])
    first, second = (
        jax.tree.leaves(open_checkpoint(path).load(names)) for path in (trained, again)
    )
    for ours, read in zip(first, second, strict=True):
        # Weight norm, which the trained flow has, is recomputed: one unit in the last place.
        np.testing.assert_array_max_ulp(np.asarray(ours), np.asarray(read), maxulp=1)
    exact = {name for name in names if digests[1][name] == digests[2][name]}
    assert exact >= set(names) - {"dit"}
    changed = {name for name in digests[0] if digests[0][name] != digests[1][name]}
    wanted = {
        "gpt_full": {"gpt", "conditioning", "training_heads"},
        "flow_full": {"dit", "length_regulator"},
    }
    assert changed == wanted[recipe]


def test_all_files_come_back_without_a_base(made: Path) -> None:
    given = (f"--checkpoint={made / 'model'}", "--to=published", f"--dst={made / 'files'}")
    assert run(export, *given) == 0
    import_checkpoint(made / "files", made / "again", training=True)
    before, after = (
        {part.name: part.digest for part in open_checkpoint(made / name).provenance.components}
        for name in ("model", "again")
    )
    assert before == after
    assert not list((made / "files").rglob("bpe.model"))


LEARNED = {"Hello world.": 19, "hola a todos": 14}  # texts, and how many codes
GREEDY = Settings(
    steps=2, max_codes=24, sampling=SamplingConfig(beams=1, sample=False, repetition_penalty=1.0)
)


def test_learned_clips_are_spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = IndexTTS(model("tiny25"))
    config, params, tokenizer = base.model.config, base.model.params, base.model.tokenizer
    writing.save(
        tmp_path / "base",
        config=config,
        tokenizer=tokenizer.model,
        components=[("gpt", params["gpt"])],
    )
    voice = base.voice(SETS["tiny25"] / "speaker.wav")
    rng, most = np.random.default_rng(0), config.semantic_codec.codes
    clips = {text: rng.integers(most, size=count) for text, count in LEARNED.items()}
    heard = {
        "conditioning": np.asarray(voice.latents[0]).astype(ml_dtypes.bfloat16),
        "emotion": np.asarray(emotion_vector(base.model, voice)[0], np.float32),
    }
    settings = DataSettings(
        features=("text", "codes", "conditioning", "emotion"),
        tokenizer=hashlib.sha256(tokenizer.model).hexdigest(),
        own_prompts=True,
    )
    with create(tmp_path / "data", settings) as writer:
        for number, (text, found) in enumerate(clips.items()):
            script = base.script(text)
            tokens = [n for n in script.segments[0].ids if n not in (0, 1)]
            row = Row(
                id=f"r{number}",
                audio=f"r{number}.wav",
                text=text,
                speaker="anna",
                seconds=len(found) / 25,
                split="train",
                language=script.language,
                codes=len(found),
                tokens=len(tokens),
            )
            writer.add(row, {"text": np.int32(tokens), "codes": np.uint16(found), **heard})
    changes = {
        "steps": 60,
        "options.train": "[trunk, codes, text, positions]",
        "options.text_weight": 0,
        "options.shift_codes": 1.0,  # the positions that generation gives to codes
        "options.remat": "false",
        "batch.buckets": "[1]",
        "batch.seconds": 2,
        "optimizer.rate": 5e-3,
        "optimizer.warmup": 5,
        "evaluation.every": 60,
        "saves.every": 60,
    }
    flags = [f"--set={path}={value}" for path, value in (COMMON | changes).items()]
    paths = (f"--data={tmp_path / 'data'}", f"--checkpoint={tmp_path / 'base'}")
    assert run(train, "--recipe=gpt_full", *paths, f"--dst={tmp_path / 'run'}", *flags) == 0

    spoken = []
    search = decoding.search_line
    monkeypatch.setattr(decoding, "search_line", lambda *a: spoken.append(search(*a)) or spoken[-1])
    trained = jax.tree.map(jnp.asarray, open_run(tmp_path / "run", 60).components)
    tts = IndexTTS(dataclasses.replace(base.model, params={**params, **trained}))
    for text, expected in clips.items():
        speech = tts.speak(text, voice, settings=GREEDY)
        codes, truncated = spoken.pop()
        assert not truncated
        assert codes.tolist() == expected.tolist()
        frames = stretched_length(len(codes), config.frames_per_code)
        assert len(speech.samples) == frames * config.mel.hop
