"""Arrays that published files hold but our checkpoints do not, for an export without a base.

Counters, filters and positions have known values. Arrays used only in training, or not at all, are
zeros: the reference loads some files strictly, and would initialise what is missing at random.
"""

from collections.abc import Callable, Mapping

import numpy as np

from importers.export.settings import CONTENT
from importers.export.unapply import made
from importers.table import Drop, Tensor
from importers.tables import campplus
from indextts_jax.config import ModelConfig
from indextts_jax.layers.snake import low_pass

POSITIONS = 16384  # of the DiT, hard-coded in the reference
Arrays = Mapping[str, Tensor]


def _zeros(*shape: int) -> Tensor:
    return made(np.zeros(shape, np.float32))


def _w2v_bert(config: ModelConfig, arrays: Arrays) -> dict[str, Tensor]:
    return {"masked_spec_embed": _zeros(config.semantic_encoder.width)}


def _semantic_codec(config: ModelConfig, arrays: Arrays) -> dict[str, Tensor]:
    """The decoder, which has the arrays of the encoder."""
    return {
        name.replace("encoder", "decoder", 1): _zeros(*tensor.shape)
        for name, tensor in arrays.items()
        if name.startswith("encoder.")
    }


def _campplus(config: ModelConfig, arrays: Arrays) -> dict[str, Tensor]:
    counters = [row.source for row in campplus.TABLE if isinstance(row, Drop)]
    return {name: made(np.zeros((), np.int64)) for name in counters}


def _gpt(config: ModelConfig, arrays: Arrays) -> dict[str, Tensor]:
    rows = config.gpt.text_vocabulary
    return {"text_head.weight": _zeros(rows, config.gpt.width), "text_head.bias": _zeros(rows)}


def _s2mel(config: ModelConfig, arrays: Arrays) -> dict[str, Tensor]:
    width, mels, estimator = config.dit.width, config.dit.mels, "cfm.estimator"
    skip = [
        f"{estimator}.transformer.layers.{layer}.skip_in_linear"
        for layer in range(config.dit.layers // 2 + 1)
    ]
    positions = np.arange(POSITIONS, dtype=np.int64)
    return {
        f"{estimator}.input_pos": made(positions),
        # Zeros under weight norm: magnitude 0, because the norm of the direction must not be 0.
        f"{estimator}.x_embedder.weight_g": _zeros(width, 1),
        f"{estimator}.x_embedder.weight_v": made(np.ones((width, mels), np.float32)),
        f"{estimator}.x_embedder.bias": _zeros(width),
        f"{estimator}.cond_embedder.weight": _zeros(CONTENT, width),
        f"{estimator}.content_mask_embedder.weight": _zeros(1, width),
        **{f"{name}.weight": _zeros(width, 2 * width) for name in skip},
        **{f"{name}.bias": _zeros(width) for name in skip},
        "length_regulator.embedding.weight": _zeros(CONTENT, config.length_regulator.width),
        "length_regulator.mask_token": _zeros(1, config.length_regulator.width),
    }


def _bigvgan(config: ModelConfig, arrays: Arrays) -> dict[str, Tensor]:
    """The filters around every activation."""
    around = [name.removesuffix(".act.alpha") for name in arrays if name.endswith(".act.alpha")]
    taps = made(low_pass()[None, None].astype(np.float32))
    places = ("upsample.filter", "downsample.lowpass.filter")
    return {f"{name}.{place}": taps for name in around for place in places}


BLANKS: dict[str, dict[str, Callable[[ModelConfig, Arrays], dict[str, Tensor]]]] = {
    "2.0": {
        "w2v_bert": _w2v_bert,
        "semantic_codec": _semantic_codec,
        "campplus": _campplus,
        "gpt": _gpt,
        "s2mel": _s2mel,
        "bigvgan": _bigvgan,
    },
    "2.5": {
        "w2v_bert": _w2v_bert,
        "campplus": _campplus,
        "gpt": _gpt,
        "s2mel": _s2mel,
        "bigvgan": _bigvgan,
    },
}
"""By version and file: a function of the configuration and the checkpoint's arrays that gives the
other arrays.
"""

KNOWN = ("num_batches_tracked", "input_pos", "filter")
"""Last words of arrays whose values are as good as the published ones."""


def unknown(names: Mapping[str, Tensor]) -> list[str]:
    """Names of arrays that are trained in the published model and zeros here."""
    return [name for name in names if not name.endswith(KNOWN)]
