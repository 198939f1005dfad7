"""The process that serves this program's stages: `python -m benchmarks.workers.ours`."""

import resource
from collections.abc import Callable
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import models
from benchmarks.workers.protocol import serve
from benchmarks.workload import Work, inputs
from indextts_jax.config import ModelConfig, RunConfig
from indextts_jax.engine import acoustic, decoding, seeds
from indextts_jax.engine.settings import Settings
from indextts_jax.runtime import devices, stages
from indextts_jax.runtime.buckets import bucket, flow_size, pad
from indextts_jax.runtime.model import Model, load_model
from indextts_jax.runtime.versions.interface import CodeRows
from indextts_jax.sampling.settings import SamplingConfig
from indextts_jax.voices.analysis import Voice

COMPONENTS = {
    "codes": ("gpt",),
    "latents": ("gpt",),
    "flow": ("semantic_codec", "length_regulator", "dit"),
}
"""Components of each stage, where they are not the one of its name."""


def sizes(config: ModelConfig) -> dict[str, int]:
    """The sizes of a model that decide the shapes of `workload.inputs`."""
    return {
        "features": config.semantic_encoder.features,
        "semantic": config.semantic_encoder.width,
        "banks": config.style_encoder.mels,
        "style": config.style_encoder.style,
        "width": config.gpt.width,
        "latents": config.gpt.conditioning_latents,
        "text": config.gpt.text_vocabulary - 1,
        "codes": config.semantic_codec.codes,
        "mels": config.mel.mels,
        "condition": config.length_regulator.width,
    }


class OurStages:
    """This program, stage by stage, with the padding that the pipeline uses."""

    def __init__(self, request: dict[str, Any]):
        if request["device"] != "cpu":
            devices.choose(request["device"])
        else:
            jax.config.update("jax_platforms", "cpu")
        self.path, self.dtype = request["folder"], request["dtype"]
        self.settings: dict[str, Any] = {}

    def about(self) -> dict[str, Any]:
        """Versions and device."""
        return {
            "jax": jax.__version__,
            "flax": flax.__version__,
            "device": devices.describe(jax.devices()[0]),
            "dtype": self.dtype,
        }

    def memory(self) -> dict[str, int]:
        """Bytes at most so far, of the process and of the device."""
        found = {"process": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
        if stats := jax.devices()[0].memory_stats():
            found["device"] = stats["peak_bytes_in_use"]
        return found

    def open(self, stage: str, work: dict[str, Any], sizes: dict[str, int]) -> Callable[[], Any]:
        """The stage as a call without arguments."""
        job = Work(**work)
        given = inputs(stage, job, sizes)
        model = load_model(
            self.path, RunConfig(dtype=self.dtype), components=COMPONENTS.get(stage, (stage,))
        )
        if stage == "codes":
            model = models.without_stop(model)
        run = call(stage, model, job, given)
        return lambda: jax.block_until_ready(run())

    def results(self, found: Any) -> dict[str, np.ndarray]:
        """Arrays by name, without padding."""
        return {name: np.asarray(array, np.float32) for name, array in found.items()}


def settings_of(work: Work) -> Settings:
    """The settings of a piece of work."""
    sampling = SamplingConfig(beams=work.beams, sample=work.sample)
    return Settings(
        sampling=sampling, max_codes=work.codes, steps=work.steps, guidance=work.guidance
    )


def call(stage: str, model: Model, work: Work, given: dict[str, Any]) -> Callable[[], Any]:
    """One run of a stage with these arrays."""
    buckets = model.buckets
    settings = settings_of(work)

    def padded(name: str, sizes: Any) -> jax.Array:
        return jnp.asarray(pad(given[name], bucket(given[name].shape[1], sizes)))

    def length(count: int) -> jax.Array:
        return jnp.asarray([count], jnp.int32)

    match stage:
        case "semantic_encoder":
            features = padded("features", buckets.features)
            mask = jnp.arange(features.shape[1])[None] < work.features

            def run() -> Any:
                found = stages.semantic_features(model, features, mask)
                return {"semantic": found[:, : work.features]}

        case "semantic_codec":
            semantic = padded("semantic", buckets.features)

            def run() -> Any:
                found = stages.quantize(model, semantic, length(work.features))
                return {"quantized": found[1][:, : work.features]}

        case "style_encoder":
            banks = padded("banks", buckets.frames)

            def run() -> Any:
                return {"style": stages.style_vector(model, banks, length(work.banks))}

        case "conditioning":
            semantic = padded("semantic", buckets.features)

            def run() -> Any:
                arrays = (semantic, length(work.features))
                latents = stages.speaker_latents(model, *arrays)
                # Twice, as for a new voice: once on the route of the speaker, once of the emotion.
                vectors = [stages.emotion_vector(model, *arrays) for _ in range(2)]
                return {"latents": latents, "emotion": vectors[0] + (vectors[1] - vectors[0])}

        case "codes":
            line, key = _line(work, given), seeds.segment_keys(work.seed, 0)[0]
            sampling = settings.sampling_up_to(work.codes)

            def run() -> Any:
                found, _ = decoding.search_line(model, line, sampling, key)
                assert found.shape == (work.codes,), found.shape
                return {"codes": found[None]}

        case "latents":
            texts = acoustic.condition_rows(model, [_line(work, given)]).common
            codes = padded("codes", buckets.codes)

            def run() -> Any:
                found = stages.code_latents(model, *texts, codes, length(work.codes))
                return {"latents": found[:, : work.codes]}

        case "flow":
            line = acoustic.Line([], voice_of(work, given, buckets.frames), jnp.zeros((1, 0)))
            rows = [acoustic.SynthesisRow(line, given["codes"][0], work.frames)]
            hidden, codes = padded("hidden", buckets.codes), padded("codes", buckets.codes)
            whole = flow_size(buckets, given["noise"].shape[1], work.frames)
            noise = padded("noise", (whole,))

            def run() -> Any:
                sequence = stages.code_sequence(model, codes, hidden)
                coded = CodeRows(length(work.codes), hidden, sequence)
                mel, _ = acoustic.mel_of_rows(
                    model, rows, coded, noise, steps=settings.steps, guidance=settings.guidance
                )
                return {"mel": mel[:, : work.frames]}

        case "vocoder":
            mel = padded("mel", buckets.frames)

            def run() -> Any:
                found = stages.vocode(model, mel, length(work.frames))
                return {"wave": found[:, : work.frames * model.config.mel.hop]}

        case _:
            raise ValueError(stage)
    return run


def _line(work: Work, given: dict[str, Any]) -> acoustic.Line:
    """What a segment is spoken from, its voice as far as decoding looks at it."""
    emotion = jnp.asarray(given["emotion"])
    return acoustic.Line(given["text"][0].tolist(), voice_of(work, given), emotion)


def voice_of(work: Work, given: dict[str, Any], sizes: Any = None) -> Voice:
    """A voice with what a stage looks at; the rest is empty."""

    def array(name: str, axes: int) -> jax.Array:
        return jnp.asarray(given[name]) if name in given else jnp.zeros((1,) + (0,) * (axes - 1))

    def frames(name: str) -> jax.Array:
        if name not in given:
            return array(name, 3)
        return jnp.asarray(pad(given[name], bucket(work.prompt_frames, sizes)))

    latents = array("latents", 3)
    unused = jnp.zeros((1, latents.shape[-1]))
    return Voice(
        latents=latents,
        base=unused,
        own=unused,
        style=array("style", 2),
        mel=frames("mel"),
        condition=frames("condition"),
        frames=work.prompt_frames,
        quantized=array("quantized", 3),
        codes=work.features,
    )


if __name__ == "__main__":
    serve(OurStages)
