"""Pads a semantic encoder of fewer layers than published with identity layers."""

import dataclasses

import numpy as np

from importers.table import Tree, flatten, nested_like
from importers.tables.w2v_bert import USED_LAYERS
from indextts_jax.config import ModelConfig

NORM_OUT = ("blocks.norm_out.scale", "blocks.norm_out.bias")


def with_published_layers(config: ModelConfig, params: Tree) -> tuple[ModelConfig, Tree]:
    """Sizes and parameters with as many layers as the reference runs; equal up to rounding.

    The branches of a new layer end in zero matrices, so that only its last norm acts. That norm is
    the identity on an input that is already normalised: the affine part of the last true layer's
    norm therefore moves to the last new layer.
    """
    layers = config.semantic_encoder.layers
    if layers >= USED_LAYERS:
        return config, params
    flat = {}
    for path, leaf in flatten(params).items():
        array = np.asarray(leaf)
        if path.startswith("blocks."):
            fill = 1 if path.endswith(".scale") else 0
            more = np.full((USED_LAYERS - layers, *array.shape[1:]), fill, array.dtype)
            whole = np.concatenate([array, more])
            if path in NORM_OUT:
                whole[[layers - 1, -1]] = whole[[-1, layers - 1]]
            array = whole
        flat[path] = array
    section = dataclasses.replace(config.semantic_encoder, layers=USED_LAYERS)
    return dataclasses.replace(config, semantic_encoder=section), nested_like(params, flat)
