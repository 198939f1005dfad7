"""IndexTTS-2.5 in training: its features, texts and objectives, against recorded arrays."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from models_under_test import SETS
from tolerances import VALIDATION

from importers.speech import Importer
from indextts_jax.config import ModelConfig, bundled_config
from indextts_jax.errors import InputError
from indextts_jax.models.components import structure
from indextts_jax.models.gpt import head_logits
from indextts_jax.models.training.gpt import Clips, Disturbance, hidden_states
from indextts_jax.runtime.versions.registry import MODULES
from indextts_jax.text.frontend import TextSettings
from indextts_jax.text.v25.frontend import MultilingualFrontend
from indextts_jax.text.v25.tokenizer import RanksTokenizer
from indextts_jax.training.data import features
from indextts_jax.training.data.job import Job
from indextts_jax.training.data.rows.texts import Reader, ReadText
from indextts_jax.training.objectives import registry
from indextts_jax.training.objectives.flow import objective as flow
from indextts_jax.training.objectives.flow.batches import Sizes
from indextts_jax.training.objectives.flow.options import FlowOptions
from indextts_jax.training.versions import v25
from indextts_jax.training.versions.interface import kind_named, kind_of
from indextts_jax.validation.golden import Golden

PATTERNS = ["trunk", "codes", "text", "positions", "conditioning"]


@functools.cache
def golden() -> Golden:
    return Golden(SETS["tiny25"])


@functools.cache
def importer() -> Importer:
    return Importer.open(SETS["tiny25"] / "checkpoints")


def config() -> ModelConfig:
    return importer().config


@functools.cache
def tokenizer() -> RanksTokenizer:
    return RanksTokenizer(importer().tokenizer)


def assert_recorded(ours: Any, reference: np.ndarray, name: str) -> None:
    """Fails if the errors exceed the bounds of the validation."""
    errors = support.relative_errors(ours, reference)
    assert errors <= VALIDATION["tiny25"][name], errors


# What is prepared.


@pytest.mark.parametrize("version", MODULES)
def test_recipes_and_inputs_name_features_that_exist(version: str) -> None:
    kind = kind_named(version)
    for wanted in (*kind.RECIPES.values(), *kind.INPUTS.values()):
        assert set(wanted) <= set(features.FEATURES)
    assert {*kind.NETWORKS, kind.PROMPT, *kind.VOICE} <= set(features.FEATURES)


def test_the_flow_needs_no_texts_and_no_gpt() -> None:
    wanted = features.features_for(["flow"], "2.5")
    assert set(wanted) == {"codes", "style", "mel", "semantic"}
    encoders = ("semantic_encoder", "semantic_codec", "style_encoder")
    assert features.components_of(wanted, "2.5") == encoders
    job = Job(dst=SETS["tiny25"], version="2.5", recipes=("flow",))
    assert (job.reads, job.speaks, job.paired) == (False, False, True)


def test_a_recipe_of_the_other_version_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"for: IndexTTS-2\.5 has no recipe 'tokens'; expected"):
        features.features_for(["tokens"], "2.5")


def test_two_features_make_a_code_and_a_last_one_its_own() -> None:
    assert [v25.codes_of(count) for count in (1, 2, 163, 164)] == [1, 1, 82, 82]
    assert v25.features_of(82) == 164
    codec = bundled_config("indextts2_5").semantic_codec
    assert v25._ratio(config()) == codec.features_per_code == v25.RATIO  # type: ignore[union-attr]


def read(text: str, language: str | None = None) -> ReadText:
    return Reader(tokenizer(), config(), compat=False, glossary=None).read(text, language)


@pytest.mark.parametrize(
    ("text", "told", "language"),
    [("Hello, world!", None, "en"), ("hola a todos", "es", "es"), ("你好!", None, "zh")],
)
def test_tokens_are_those_that_the_prefix_keeps(text: str, told: str, language: str) -> None:
    settings = TextSettings(segment_tokens=10_000)
    frontend = MultilingualFrontend(tokenizer(), settings, language)
    (segment,) = frontend.prepare(text).segments
    found = read(text, told)
    assert found.language == language
    assert found.tokens == tuple(number for number in segment.ids if number not in (0, 1))


def test_a_clip_with_a_pause_has_one_tag() -> None:
    with_pause, without = read("one [pause 0.5s] two", "en"), read("one two", "en")
    tag = without.tokens[0]
    assert with_pause.tokens.count(tag) == without.tokens.count(tag) == 1


def test_an_unknown_language_rejects_a_clip() -> None:
    assert read("hello", "klingon").fault == "unreadable"


# What is trained.


def test_objectives_of_the_other_version_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"IndexTTS-2\.5 cannot be trained with it, only with gpt"):
        registry.build("tokens", config(), {}, ())
    for name, options, words in (
        ("flow", {"latents": 0.5}, r"latents must be 0 for IndexTTS-2\.5"),
        ("gpt", {"train": ["trunk"], "guided_weight": 0.1}, "guided_weight must be 0"),
    ):
        with pytest.raises(InputError, match=words):
            registry.build(name, config(), options, ())


def test_every_group_of_the_gpt_names_parameters() -> None:
    made = registry.build("gpt", config(), {"train": PATTERNS}, ("training_heads",))
    (part,) = made.parts
    patterns = [p for p in part.trains if p.startswith("gpt.")]
    names = {f"gpt.{key}.*" for key in structure("gpt", config()).expected}
    assert set(patterns) == names


@functools.cache
def bound(name: str) -> Any:
    params = jax.tree.map(jnp.asarray, importer().read(name))
    return structure(name, config()).bind(params)


def test_teacher_forced_logits_are_those_recorded_in_generation() -> None:
    arrays = golden().arrays("gpt")
    text = [number for number in arrays["text_ids"][0] if number not in (0, 1)]
    codes = arrays["greedy_codes"][:, :-1].astype(np.int32)  # without the stop code
    clips = Clips(
        bound("conditioning").style_latents(jnp.asarray(arrays["style"])),
        jnp.asarray(arrays["emovec"]),
        jnp.asarray([text], jnp.int32),
        jnp.asarray([len(text)], jnp.int32),
        jnp.asarray(codes),
        jnp.asarray([codes.shape[1]], jnp.int32),
        jnp.asarray(arrays["lang_id"], jnp.int32),
    )
    late = Disturbance(jax.random.split(jax.random.key(0), 1), late=jnp.ones(1, bool))
    gpt = bound("gpt")
    states = jax.jit(lambda given: hidden_states(gpt, given, late))(clips)
    recorded = arrays["step_logits"]
    logits = head_logits(gpt.code_head, states.codes)[:, : recorded.shape[1]]
    assert_recorded(logits, recorded, "gpt.step_logits")


def test_condition_of_prompt_and_target_is_the_recorded_one() -> None:
    regulator, mel = golden().arrays("length_regulator"), golden()["audio", "ref_mel"]
    prompt, frames = mel.shape[-1], int(regulator["target_length"][0])
    features_of_prompt = regulator["prompt_in"]
    size = (features_of_prompt.shape[1] + 1) // 2  # of codes
    codes = np.zeros((1, size), np.int32)
    codes[:, : regulator["codes"].shape[1]] = regulator["codes"]
    batch = {
        "prompt_semantic": jnp.asarray(features_of_prompt),
        "prompt_counts": jnp.asarray([features_of_prompt.shape[1]]),
        "codes": jnp.asarray(codes),
        "code_counts": jnp.asarray([regulator["codes"].shape[1]]),
        "prompt_frames": jnp.asarray([prompt]),
        "frames": jnp.asarray([prompt + frames]),
        "mel": jnp.zeros((1, prompt + frames, config().mel.mels)),
    }
    networks = flow.Networks(
        bound("semantic_codec"), bound("length_regulator"), bound("dit"), kind_of(config())
    )
    found = np.asarray(jax.jit(lambda b: flow.condition(networks, b, remat=False))(batch))
    bounds = "length_regulator.prompt_condition"
    assert_recorded(found[:, :prompt], regulator["prompt_condition"], bounds)
    assert_recorded(found[:, prompt:], regulator["condition"], "length_regulator.condition")


@dataclasses.dataclass(frozen=True)
class Clip:
    """What the objectives read of a row: an odd number of features, two for each code."""

    id: str
    speaker: str
    features: int
    language: str = "es"
    tokens: int = 5

    @property
    def codes(self) -> int:
        return v25.codes_of(self.features)

    @property
    def frames(self) -> int:
        return round(1.72 * self.features)

    @property
    def seconds(self) -> float:
        return self.features / 50


class Prepared:
    """Prepared clips in memory: each feature has its clip's number and its own index."""

    def __init__(self, *rows: Clip):
        self.rows, self.arrays, cfg = rows, {}, config()
        for n, row in enumerate(rows, 1):
            index = np.arange(row.features)[:, None] / 1024
            self.arrays[row.id] = {
                "text": np.arange(2, 2 + row.tokens, dtype=np.int32),
                "codes": np.arange(row.codes).astype(np.uint16) % 64,
                "semantic": (n + index + np.zeros(cfg.semantic_codec.width)).astype(np.float16),
                "style": np.full(cfg.style_encoder.style, n, np.float32),
                "mel": np.full((row.frames, cfg.mel.mels), n, np.float16),
            }

    def read(self, row: Clip, feature: str) -> np.ndarray:
        return self.arrays[row.id][feature]

    def has(self, row: Clip, feature: str) -> bool:
        return feature in self.arrays[row.id]

    def prompts(self, row: Clip, rng: np.random.Generator) -> Clip:
        return next(other for other in self.rows if other is not row)


ANNA, OTHER = Clip("a1", "anna", 81), Clip("a2", "anna", 57, language="ja")


@pytest.mark.parametrize("own", [0.0, 1.0])
def test_prompts_of_the_flow_are_features_of_whole_codes(own: float) -> None:
    data, options = Prepared(ANNA, OTHER), FlowOptions(own_prompts=own, latents=0.0)
    made = flow.FlowObjective(config(), options)
    batch = made.collate(data.rows, data, 2.0, np.random.default_rng(1))  # type: ignore[arg-type]
    sizes = Sizes.of(2.0, config(), options)
    assert batch["prompt_semantic"].shape[1] == 2 * sizes.codes
    assert set(made.needs) <= {"mel", "codes", "style", "semantic"}
    for n, row in enumerate(data.rows):
        count, prompt = batch["prompt_counts"][n], batch["prompt_semantic"][n]
        source = row if own else data.rows[1 - n]
        held = data.read(source, "semantic")
        # A continued clip: its features up to where the codes of the target begin.
        start = round((float(prompt[0, 0]) - (1 + data.rows.index(source))) * 1024) if count else 0
        np.testing.assert_array_equal(prompt[:count], held[start : start + count])
        assert start % 2 == 0
        assert not prompt[count:].any()
        if own:
            assert (row.codes - batch["code_counts"][n]) == v25.codes_of(count)


def test_a_batch_of_the_gpt_holds_the_languages_and_styles_of_the_prompts() -> None:
    data = Prepared(ANNA, OTHER)
    made = registry.build("gpt", config(), {"train": PATTERNS, "target_emotion": 1.0}, ())
    assert set(made.needs) == {"text", "codes", "style", "semantic"}
    batch = made.collate(data.rows, data, 2.0, np.random.default_rng(0))  # type: ignore[arg-type]
    assert batch["languages"].tolist() == [3, 7]  # es, ja
    assert batch["prompt_style"][:, 0].tolist() == [2, 1]
    assert batch["mood"][:, 0, 0].tolist() == [1, 2]
