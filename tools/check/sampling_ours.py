"""Runs of sampling through this program."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from importers.speech import Importer
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.stages import search_codes
from indextts_jax.sampling.generate import SamplingConfig
from indextts_jax.text.tokenizer import Tokenizer
from tools.check.sampling_runs import MAX_CODES, Run, checksum, draws, text


class Ours:
    """This program's autoregressive model of one set."""

    def __init__(self, folder: Path, model: Model | None = None):
        self.model = self._imported(folder / "checkpoints") if model is None else model
        with np.load(folder / "tensors" / "gpt.npz") as arrays:
            self.latents, self.emotion = arrays["speaker_latents"], arrays["emovec"]

    @staticmethod
    def _imported(folder: Path) -> Model:
        importer = Importer.open(folder)
        params = jax.tree.map(jnp.asarray, importer.read("gpt"))
        return Model(importer.config, {"gpt": params}, Tokenizer(folder / "bpe.model"))

    def result(self, run: Run) -> dict[str, Any]:
        """Codes of a run, with the stop code if there is one."""
        sizes = self.model.config.gpt
        ids = text(run, sizes.text_vocabulary, sizes.max_text_tokens)
        noise = draws(run, sizes.code_vocabulary)
        padded = np.zeros((1, sizes.max_text_tokens), np.int32)  # one length: one compilation
        padded[:, : ids.shape[1]] = ids
        settings = SamplingConfig(**run.settings, max_codes=MAX_CODES)
        made = search_codes(
            self.biased(run.stop_bias),
            jnp.asarray(self.latents),
            jnp.asarray(self.emotion),
            jnp.asarray(padded),
            jnp.asarray([ids.shape[1]], jnp.int32),
            jnp.asarray(noise)[None],
            settings.numbers,
            strategy=settings.strategy,
        )
        codes = np.asarray(made.codes)[0, : int(made.lengths[0]) + 1]
        return {"codes": codes.tolist(), "checksum": checksum(ids, noise)}

    def biased(self, bias: float) -> Model:
        """The model with a likelier stop code."""
        params = dict(self.model.params["gpt"])
        head = dict(params["code_head"])
        head["bias"] = head["bias"].at[self.model.config.gpt.stop_code].add(bias)
        params["code_head"] = head
        return dataclasses.replace(self.model, params={"gpt": params})
