"""Every compiled stage as a typed function of a model and arrays.

The caller pads arrays to buckets; each stage is compiled once per padded shape. Intermediate
results for validation are in `inner_stages`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Float32, Int, Key

from indextts_jax.models import gpt_latents
from indextts_jax.models.dit import DiT
from indextts_jax.models.gpt import Cache, Heads
from indextts_jax.models.gpt_cache import PrefixCache
from indextts_jax.models.gpt_joint_cache import JointCache
from indextts_jax.models.gpt_latents import LatentCache
from indextts_jax.runtime.model import Model
from indextts_jax.sampling import slots as slot_loop
from indextts_jax.sampling.agreed import Agreed
from indextts_jax.sampling.flow import continue_mel, noise
from indextts_jax.sampling.generate import generate
from indextts_jax.sampling.loop import Generated
from indextts_jax.sampling.reply import Reply, reply
from indextts_jax.sampling.settings import Numbers, Strategy
from indextts_jax.sampling.slots import Slots, Stop

AnyArray = Array | np.ndarray


def semantic_features(
    model: Model, features: Float[AnyArray, "b t c"], mask: Bool[AnyArray, "b t"]
) -> Float[Array, "b t d"]:
    """Normalised hidden states of the semantic encoder."""
    return model.run_stage("semantic_encoder", "__call__", features, mask)


def quantize(
    model: Model, semantic: Float[AnyArray, "b t d"], lengths: Int[AnyArray, " b"]
) -> tuple[Int[Array, "b s"], Float[Array, "b s d"]]:
    """Codes of semantic features, and the codes' features; in 2.5 half as many as features."""
    return model.run_stage("semantic_codec", "quantize", semantic, lengths)


def embed_codes(model: Model, codes: Int[AnyArray, "b s"]) -> Float[Array, "b s d"]:
    """The features of codes."""
    return model.run_stage("semantic_codec", "vq2emb", codes)


def spell(
    model: Model, embedded: Float[AnyArray, "b t d"], lengths: Int[AnyArray, " b"]
) -> Float[Array, "b t v"]:
    """Logits of the letters spoken at each code, from the codes' features."""
    return model.run_stage("ctc_head", "spell", embedded, lengths)


def style_vector(
    model: Model, banks: Float[AnyArray, "b t m"], lengths: Int[AnyArray, " b"]
) -> Float[Array, "b s"]:
    """The style vector of centred filter banks."""
    return model.run_stage("style_encoder", "__call__", banks, lengths)


def speaker_latents(
    model: Model, semantic: Float[AnyArray, "b t d"], lengths: Int[AnyArray, " b"]
) -> Float[Array, "b l w"]:
    """Conditioning latents of a speaker prompt."""
    return model.run_stage("conditioning", "speaker_latents", semantic, lengths)


def style_latents(model: Model, style: Float[AnyArray, "b s"]) -> Float[Array, "b 1 w"]:
    """The conditioning row of a style vector (2.5)."""
    return model.run_stage("conditioning", "style_latents", style)


def emotion_vector(
    model: Model, semantic: Float[AnyArray, "b t d"], lengths: Int[AnyArray, " b"]
) -> Float[Array, "b w"]:
    """The emotion vector of a prompt."""
    return model.run_stage("conditioning", "emotion_vector", semantic, lengths)


def nearest_prototypes(
    model: Model, style: Float[AnyArray, "b s"], weights: Float[AnyArray, "b g"]
) -> Float[Array, "b w"]:
    """The weighted sum of the stored emotion vectors nearest to a style vector."""
    return model.run_stage("emotion_prototypes", "__call__", style, weights)


def mix_prototypes(
    model: Model, weights: Float[AnyArray, "b g"], rows: Int[AnyArray, "b g"]
) -> Float[Array, "b w"]:
    """The weighted sum of the given stored emotion vectors, one per emotion."""
    return model.run_stage("emotion_prototypes", "mix", weights, rows)


def emotion_reply(model: Model, prompt: Int[AnyArray, " t"], length: Int[AnyArray, ""]) -> Reply:
    """The reply of the text-to-emotion model to the first `length` tokens."""
    return model.run_stage("text_emotion", reply, prompt, length)


def search_codes(
    model: Model,
    latents: Float[AnyArray, "b l w"],
    emotion: Float[AnyArray, "b w"],
    text: Int[AnyArray, "b t"],
    text_lengths: Int[AnyArray, " b"],
    source: Key[Array, " b"] | Float[Array, "b steps n"],
    numbers: Numbers,
    languages: Int[AnyArray, " b"] | None = None,
    *,
    strategy: Strategy,
) -> Generated:
    """The codes of each row, in one compiled program; see `generate`."""
    arrays = (latents, emotion, text, text_lengths, source, numbers, *_given(languages))
    return model.run_stage("gpt", generate, *arrays, strategy=strategy)


def empty_slots(
    model: Model, numbers: Numbers, *, slots: int, text_size: int, window: int, strategy: Strategy
) -> Slots:
    """Slots for decoding in parallel; see `sampling.slots`."""
    return model.run_stage(
        "gpt",
        slot_loop.empty,
        numbers,
        slots=slots,
        text_size=text_size,
        window=window,
        strategy=strategy,
    )


def fill_slots(
    model: Model,
    state: Slots,
    places: Int[Array, " n"],
    latents: Float[Array, "n l w"],
    emotion: Float[Array, "n w"],
    text: Int[Array, "n t"],
    text_lengths: Int[Array, " n"],
    keys: Key[Array, " n"],
    numbers: Numbers,
    languages: Int[Array, " n"] | None = None,
    *,
    strategy: Strategy,
    mesh: Mesh | None = None,
) -> Slots:
    """The slots with new requests at these places; `state` is donated."""
    prompts = (latents, emotion, text, text_lengths)
    arrays = (state, places, *prompts, keys, numbers, *_given(languages))
    return model.run_stage(
        "gpt", slot_loop.insert, *arrays, strategy=strategy, **_mesh_option(mesh)
    )


def run_slots(
    model: Model,
    state: Slots,
    most: Int[AnyArray, ""] | None = None,
    *,
    strategy: Strategy,
    mesh: Mesh | None = None,
) -> tuple[Slots, Stop]:
    """Decodes until some slot is complete, the cache is full, or for `most` steps.

    `state` is donated.
    """
    arrays = (state,) if most is None else (state, most)
    return model.run_stage("gpt", slot_loop.run, *arrays, strategy=strategy, **_mesh_option(mesh))


def resize_slots(model: Model, cache: Cache, *, window: int) -> Cache:
    """The cache of the slots with capacity for `window` codes."""
    return model.run_stage("gpt", slot_loop.resize, cache, window=window)


def agreed_codes(model: Model, state: Slots, *, strategy: Strategy) -> Agreed:
    """What is already certain of each slot's codes, while they are decoded."""
    return model.run_stage("gpt", slot_loop.agreed, state.rows, state.numbers, strategy=strategy)


def slot_prefix(model: Model, state: Slots, place: Int[AnyArray, ""]) -> PrefixCache:
    """The prefix of one slot, as a batch of one."""
    # A cache of codes alone stays out: there is a program for each of its sizes.
    joint = state.cache if isinstance(state.cache, JointCache) else None
    return model.run_stage("gpt", slot_loop.prefix_of, state.prefix, joint, place)


def _given(languages: Int[AnyArray, " b"] | None) -> tuple[AnyArray, ...]:
    # Omitted where the version has none, so that the names of stored programs do not change.
    return () if languages is None else (languages,)


def _mesh_option(mesh: Mesh | None) -> dict[str, Mesh]:
    # Omitted on one device, so that the names of stored programs do not change.
    return {} if mesh is None else {"mesh": mesh}


def code_latents(
    model: Model,
    latents: Float[AnyArray, "b l w"],
    emotion: Float[AnyArray, "b w"],
    text: Int[AnyArray, "b t"],
    text_lengths: Int[AnyArray, " b"],
    codes: Int[AnyArray, "b s"],
    code_lengths: Int[AnyArray, " b"],
) -> Float[Array, "b s w"]:
    """The GPT's latents of finished codes."""
    arrays = (latents, emotion, text, text_lengths, codes, code_lengths)
    return model.run_stage("gpt", "latents", *arrays)


def latent_prefix(
    model: Model,
    latents: Float[AnyArray, "b l w"],
    emotion: Float[AnyArray, "b w"],
    text: Int[AnyArray, "b t"],
    text_lengths: Int[AnyArray, " b"],
) -> PrefixCache:
    """The prefix of the pass over codes, for a text with start or stop tokens in it."""
    arrays = (latents, emotion, text, text_lengths)
    return model.run_stage("gpt", gpt_latents.latent_prefix, *arrays)


def empty_latents(model: Model, *, size: int) -> LatentCache:
    """A cache of the pass over codes, of one row and for `size` codes."""
    return model.run_stage("gpt", gpt_latents.empty_latents, size=size)


def resize_latents(model: Model, cache: LatentCache, *, size: int) -> LatentCache:
    """The cache with capacity for `size` codes."""
    return model.run_stage("gpt", gpt_latents.resize_latents, cache, size=size)


def more_latents(
    model: Model,
    prefixes: tuple[PrefixCache, ...],
    caches: tuple[LatentCache, ...],
    codes: Int[AnyArray, "b m"],
    starts: Int[AnyArray, " b"],
) -> tuple[Float32[Array, "b m w"], tuple[LatentCache, ...]]:
    """The latents of more codes, and the caches with them; `caches` are donated."""
    arrays = (prefixes, caches, codes, starts)
    return model.run_stage("gpt", gpt_latents.more_latents, *arrays)


def aligned_latents(
    model: Model,
    latents: Float[AnyArray, "b l w"],
    emotion: Float[AnyArray, "b w"],
    text: Int[AnyArray, "b t"],
    text_lengths: Int[AnyArray, " b"],
    codes: Int[AnyArray, "b s"],
    code_lengths: Int[AnyArray, " b"],
    *,
    heads: Heads,
) -> tuple[Float[Array, "b s w"], Float[Array, "b k s t"]]:
    """`code_latents`, and from the same pass the attention of codes to text tokens, by head."""
    arrays = (latents, emotion, text, text_lengths, codes, code_lengths)
    return model.run_stage("gpt", "aligned_latents", *arrays, heads=heads)


def code_attention(
    model: Model,
    latents: Float[AnyArray, "b l w"],
    emotion: Float[AnyArray, "b w"],
    text: Int[AnyArray, "b t"],
    text_lengths: Int[AnyArray, " b"],
    codes: Int[AnyArray, "b s"],
    languages: Int[AnyArray, " b"] | None = None,
    *,
    heads: Heads,
) -> Float[Array, "b k s t"]:
    """The attention of finished codes to text tokens, by head, from a pass of its own."""
    arrays = (latents, emotion, text, text_lengths, codes, *_given(languages))
    return model.run_stage("gpt", "code_attention", *arrays, heads=heads)


def decode_codes(
    model: Model, codes: Int[AnyArray, "b s"], lengths: Int[AnyArray, " b"]
) -> Float[Array, "b t d"]:
    """The semantic features of finished codes (2.5), zero past a row's features."""
    return model.run_stage("semantic_codec", "decode", codes, lengths)


def code_sequence(
    model: Model, codes: Int[AnyArray, "b s"], latents: Float[AnyArray, "b s w"]
) -> Float[Array, "b s d"]:
    """The input of the length regulator: the codes' features plus the projected latents."""
    return embed_codes(model, codes) + project_latents(model, latents)


def project_latents(model: Model, latents: Float[AnyArray, "b s w"]) -> Float[Array, "b s d"]:
    """Latents, projected to the width of the semantic features."""
    return model.run_stage("length_regulator", "project", latents)


def regulate(
    model: Model,
    sequence: Float[AnyArray, "b s d"],
    lengths: Int[AnyArray, " b"],
    frames: Int[AnyArray, " b"],
    *,
    size: int,
) -> Float[Array, "b {size} c"]:
    """A sequence at code rate, stretched to `frames` frames per row and padded to `size`."""
    arrays = (sequence, lengths, frames)
    return model.run_stage("length_regulator", "__call__", *arrays, size=size)


def regulate_at_ratio(
    model: Model,
    sequence: Float[AnyArray, "b s d"],
    lengths: Int[AnyArray, " b"],
    frames: Int[AnyArray, " b"],
    ratios: Float[AnyArray, " b"],
    *,
    size: int,
) -> Float[Array, "b {size} c"]:
    """As `regulate`, of a sequence that is not finished; `ratios` are its rows for a frame."""
    arrays = (sequence, lengths, frames, ratios)
    return model.run_stage("length_regulator", "at_ratio", *arrays, size=size)


def guided_mel(
    model: Model,
    noise: Float[AnyArray, "b f m"],
    prompt_mel: Float[AnyArray, "b p m"],
    prompt_condition: Float[AnyArray, "b p c"],
    prompt_lengths: Int[AnyArray, " b"],
    condition: Float[AnyArray, "b t c"],
    lengths: Int[AnyArray, " b"],
    style: Float[AnyArray, "b s"],
    *,
    steps: int,
    guidance: float,
) -> Float[Array, "b t m"]:
    """The mel of the target by the flow; changing a guidance above 0 does not recompile."""
    # Pad prompts to the length of the noise, so that the flow's program does not depend on theirs.
    prompts = (_widened(a, noise.shape[1]) for a in (prompt_mel, prompt_condition))
    arrays = map(jnp.asarray, (noise, *prompts, prompt_lengths, condition, lengths, style))
    if guidance > 0:
        strength = jnp.asarray(guidance, jnp.float32)
        return model.run_stage("dit", guided_flow, strength, *arrays, steps=steps)
    return model.run_stage("dit", continue_mel, *arrays, steps=steps, guidance=0.0)


def _widened(array: Float[AnyArray, "b p c"], size: int) -> Float[Array, "b f c"]:
    """The array padded with zeros to `size` frames; unchanged if it is longer."""
    return jnp.pad(jnp.asarray(array), ((0, 0), (0, max(0, size - array.shape[1])), (0, 0)))


def guided_flow(dit: DiT, guidance: Float[Array, ""], *arrays: Any, steps: int) -> jax.Array:
    """`continue_mel` with the guidance as an array, so that another value does not recompile."""
    return continue_mel(dit, *arrays, steps=steps, guidance=guidance)


flow_noise = jax.jit(noise, static_argnums=(1, 2))


def vocode(
    model: Model, mel: Float[AnyArray, "b f m"], lengths: Int[AnyArray, " b"]
) -> Float32[Array, "b n"]:
    """The waveform of a mel."""
    return model.run_stage("vocoder", "__call__", mel, lengths)
