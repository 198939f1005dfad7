"""The stages of this project, lowered for a GPU that is not there: shapes alone, no weights."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from indextts_jax.audio.features import FRAME, HOP
from indextts_jax.config import ModelConfig, RunConfig, bundled_config
from indextts_jax.layers.kernels.attention import attend_fused
from indextts_jax.layers.kernels.decode_attention import Filled, attend_filled
from indextts_jax.models.components import ANALYSING, SPEAKING, structure
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, buckets_of, flow_size
from indextts_jax.runtime.model import compiled
from indextts_jax.runtime.precision import check_kernels, place_params, uses_kernels
from indextts_jax.sampling import slots
from indextts_jax.sampling.generate import generate
from indextts_jax.sampling.settings import SamplingConfig

PREFIX = 80  # keys of conditioning and text in the kernel that is compiled alone
KERNEL_CODES = 512  # capacity of its cache
ENCODER_RATE = 16_000  # Hz, of what the encoders hear


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes:
    """What decides the shapes of the stages."""

    config: str = "indextts2"
    dtype: str = "float32"
    fused_attention: bool | None = None  # None: in the flow alone
    small: bool = False
    beams: int = 3
    text: int = 25  # tokens
    codes: int = 500  # of the segment; 50 are a second
    prompt: float = 15.0  # seconds
    steps: int = 25  # of the flow
    window: int = 256  # codes that a slot can hold
    gpt_layers: int | None = None


def shrunk(config: ModelConfig) -> ModelConfig:
    """Widths as they are, with as few layers as show every kind of kernel; a tiny vocoder."""
    wavenet = dataclasses.replace(config.dit.wavenet, layers=2)
    vocoder = dataclasses.replace(
        config.vocoder,
        channels=128,
        rates=(16, 16),  # 256 samples a frame, as before
        kernels=(32, 32),
        block_kernels=(3,),
        block_dilations=((1, 3),),
    )
    return dataclasses.replace(
        config,
        gpt=dataclasses.replace(config.gpt, layers=2),
        dit=dataclasses.replace(config.dit, layers=3, wavenet=wavenet),
        vocoder=vocoder,
    )


def configured(shapes: Shapes, device: jax.Device) -> ModelConfig:
    """The configuration that is compiled."""
    config = bundled_config(shapes.config)
    if shapes.small:
        config = shrunk(config)
    if shapes.gpt_layers:
        gpt = dataclasses.replace(config.gpt, layers=shapes.gpt_layers)
        config = dataclasses.replace(config, gpt=gpt)
    if shapes.fused_attention:
        check_kernels(config, device)
    return config


class Lowering:
    """Lowers stages by name."""

    def __init__(self, shapes: Shapes, device: jax.Device):
        self.shapes, self.device = shapes, device
        self.config = configured(shapes, device)
        self.place = jax.sharding.SingleDeviceSharding(device)
        self.sampling = SamplingConfig(beams=shapes.beams, max_codes=shapes.codes)
        self.numbers = self.there(jax.eval_shape(lambda: self.sampling.numbers))
        self.run = RunConfig(dtype=shapes.dtype, fused_attention=shapes.fused_attention)
        self.buckets = buckets_of(self.config, self.run)
        self.half = self.run.compute_dtype("length_regulator")

    # Shapes on the device

    def there(self, tree: Any) -> Any:
        """The same shapes, as of arrays on the device."""
        return jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=self.place), tree
        )

    def array(self, *shape: int, dtype: Any = "float32") -> Any:
        """The shape of an array."""
        kind = jnp.dtype(dtype) if isinstance(dtype, str) else dtype  # keys have no such dtype
        return self.there(jax.ShapeDtypeStruct(shape, kind))

    def integers(self, *shape: int) -> Any:
        """The shape of an array of tokens or lengths."""
        return self.array(*shape, dtype="int32")

    def keys(self, *shape: int) -> Any:
        """The shape of random keys."""
        return self.array(*shape, dtype=jax.eval_shape(lambda: jax.random.key(0)).dtype)

    def params(self, name: str) -> Any:
        """The shapes of a component's parameters, as loading lays them out."""
        expected = structure(name, self.config).expected
        place = functools.partial(
            place_params, name, config=self.config, run=self.run, device=self.device
        )
        return self.there(jax.eval_shape(place, expected))

    @functools.cached_property
    def parameter_bytes(self) -> dict[str, int]:
        """Bytes of the parameters of each component that speaks or analyses a prompt."""
        names = dict.fromkeys((*SPEAKING, *ANALYSING))
        return {name: size_of(self.params(name)) for name in names}

    @property
    def slot_bytes(self) -> int:
        """Bytes of the KV cache of one slot with capacity for the segment's codes."""
        state = self.empty_slots(1, self.codes)
        return size_of(state.cache)

    # Lengths

    @property
    def text(self) -> int:
        """Text tokens, padded."""
        return bucket(self.shapes.text, self.buckets.text)

    @property
    def codes(self) -> int:
        """Codes of the segment, padded."""
        return bucket(self.shapes.codes, self.buckets.codes)

    @property
    def banks(self) -> int:
        """Frames of the prompt's filter banks, not padded."""
        return (int(self.shapes.prompt * ENCODER_RATE) - FRAME) // HOP + 1

    @property
    def frames(self) -> int:
        """Mel frames of the segment, padded."""
        return bucket(self._frames, self.buckets.frames)

    @property
    def span(self) -> int:
        """Mel frames of prompt and segment together, padded."""
        prompt = int(self.shapes.prompt * self.config.mel.sample_rate) // self.config.mel.hop
        return flow_size(self.buckets, prompt + self._frames, self._frames)

    @property
    def _frames(self) -> int:
        mel = self.config.mel
        return int(self.shapes.codes / 50 * mel.sample_rate / mel.hop)

    # Stages

    def stage(self, name: str) -> jax.stages.Lowered:
        """A stage, lowered for the device; its names are those of `STAGES`."""
        return STAGES[name](self)

    def fused(self, component: str) -> bool:
        """Whether a component runs with fused attention."""
        return uses_kernels(component, self.config, self.run, self.device)

    def lower(self, component: str, function: Any, *arrays: Any, **static: Any) -> Any:
        """A function of a component, as the project compiles it."""
        stage = compiled(
            self.config,
            component,
            function,
            fused_attention=self.fused(component),
            platform=self.device.platform,
            **static,
        )
        return stage.lower(self.params(component), *arrays)

    def voice(self) -> tuple[Any, ...]:
        """Conditioning latents and emotion vector, text tokens and their number."""
        gpt = self.config.gpt
        latents = self.array(1, gpt.conditioning_latents, gpt.width)
        return latents, self.array(1, gpt.width), self.integers(1, self.text), self.integers(1)

    def semantic(self) -> tuple[Any, ...]:
        """Semantic features of the prompt, and their number."""
        size = bucket((self.banks - 1) // 2 + 1, self.buckets.features)
        return self.array(1, size, self.config.semantic_encoder.width), self.integers(1)

    def semantic_encoder(self) -> Any:
        """Features to semantic features."""
        size = self.semantic()[0].shape[1]
        features = self.array(1, size, self.config.semantic_encoder.features)
        return self.lower(
            "semantic_encoder", "__call__", features, self.array(1, size, dtype="bool")
        )

    def style_encoder(self) -> Any:
        """Filter banks to the style vector."""
        size = bucket(self.banks, self.buckets.frames)
        banks = self.array(1, size, self.config.style_encoder.mels)
        return self.lower("style_encoder", "__call__", banks, self.integers(1))

    def decode(self) -> Any:
        """Prefix and search of one request."""
        arrays = (*self.voice(), self.keys(1), self.numbers)
        return self.lower("gpt", generate, *arrays, strategy=self.sampling.strategy)

    def empty_slots(self, count: int, window: int | None = None) -> Any:
        """The state of continuous batching."""
        strategy = self.sampling.strategy
        window = self.shapes.window if window is None else window
        sizes = {"slots": count, "text_size": self.text, "window": window}
        made = compiled(
            self.config,
            "gpt",
            slots.empty,
            fused_attention=self.fused("gpt"),
            platform=self.device.platform,
            **sizes,
            strategy=strategy,
        )
        return self.there(made.eval_shape(self.params("gpt"), self.numbers))

    def run_slots(self, count: int) -> Any:
        """The loop of continuous batching."""
        strategy = self.sampling.strategy
        return self.lower("gpt", slots.run, self.empty_slots(count), strategy=strategy)

    def insert(self) -> Any:
        """One request into one of eight slots."""
        each = jax.tree.map(lambda n: self.array(1, *n.shape, dtype=n.dtype), self.numbers)
        arrays = (self.empty_slots(8), self.integers(1), *self.voice(), self.keys(1), each)
        return self.lower("gpt", slots.insert, *arrays, strategy=self.sampling.strategy)

    def latents(self) -> Any:
        """The pass over finished codes."""
        codes = (self.integers(1, self.codes), self.integers(1))
        return self.lower("gpt", "latents", *self.voice(), *codes)

    def regulate(self) -> Any:
        """Codes' features stretched to mel frames."""
        features = self.array(1, self.codes, self.config.length_regulator.features)
        lengths = (self.integers(1), self.integers(1))
        return self.lower("length_regulator", "__call__", features, *lengths, size=self.frames)

    def flow(self) -> Any:
        """All steps of the flow, with guidance."""
        mels, dit = self.config.mel.mels, self.config.dit
        arrays = (
            self.array(1, self.span, mels),
            self.array(1, self.span, mels),
            self.array(1, self.span, dit.condition, dtype=self.half),
            self.integers(1),
            self.array(1, self.frames, dit.condition, dtype=self.half),
            self.integers(1),
            self.array(1, dit.style),
        )
        guidance, steps = self.array(), self.shapes.steps
        return self.lower("dit", stages.guided_flow, guidance, *arrays, steps=steps)

    def vocoder(self) -> Any:
        """Mel to samples."""
        mel = self.array(1, self.frames, self.config.mel.mels)
        return self.lower("vocoder", "__call__", mel, self.integers(1))

    def flow_kernel(self) -> Any:
        """The flow's Pallas kernel alone."""
        heads, width = self.config.dit.heads, self.config.dit.width
        one = self.array(2, self.span, heads, width // heads, dtype=self.half)
        return _alone(attend_fused, one, one, one, self.integers(2))

    def step_kernel(self) -> Any:
        """The decoding loop's Pallas kernel alone."""
        heads, beams = self.config.gpt.heads, self.shapes.beams
        width, codes = self.config.gpt.width // heads, KERNEL_CODES * beams

        def run(tokens: Any, keys: Any, values: Any, prefix: Any, codes: Any, mask: Any) -> Any:
            return attend_filled(tokens, keys, values, Filled(prefix, codes), mask)

        tokens = self.array(beams, 3, heads, width, dtype=self.half)
        cache = self.array(1, heads, PREFIX + codes, width, dtype=self.half)
        counts = self.integers(1), self.integers(1)
        return _alone(run, tokens, cache, cache, *counts, self.array(1, beams, codes, dtype="bool"))


def size_of(tree: Any) -> int:
    """Bytes of arrays, or of shapes."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _alone(function: Callable[..., Any], *arrays: Any) -> Any:
    def run(*arrays: Any) -> Any:  # XLA's dumps are chosen by this name
        with jax.default_matmul_precision("highest"):
            return function(*arrays)

    return jax.jit(run).lower(*arrays)


STAGES: dict[str, Callable[[Lowering], Any]] = {
    "semantic_encoder": Lowering.semantic_encoder,
    "speaker_latents": lambda m: m.lower("conditioning", "speaker_latents", *m.semantic()),
    "emotion_vector": lambda m: m.lower("conditioning", "emotion_vector", *m.semantic()),
    "quantize": lambda m: m.lower("semantic_codec", "quantize", *m.semantic()),
    "style_encoder": Lowering.style_encoder,
    "decode": Lowering.decode,
    "slots8": lambda m: m.run_slots(8),
    "slots32": lambda m: m.run_slots(32),
    "insert1": Lowering.insert,
    "latents": Lowering.latents,
    "vq2emb": lambda m: m.lower("semantic_codec", "vq2emb", m.integers(1, m.codes)),
    "project": lambda m: m.lower(
        "length_regulator", "project", m.array(1, m.codes, m.config.gpt.width)
    ),
    "regulate": Lowering.regulate,
    "flow": Lowering.flow,
    "vocoder": Lowering.vocoder,
    "attend_fused": Lowering.flow_kernel,
    "attend_filled": Lowering.step_kernel,
}
