"""Sampled codes of the PyTorch reference, for `tools.check.sampling`.

    REFERENCE/bin/python -m tools.reference.sampling RUNS RESULTS

RUNS is a JSON file of runs, RESULTS the JSON file to write. Every draw of the reference is replaced
by one of the run's own.

The published pipeline has the generation loop of transformers 4.46. With that version, the current
package of the reference lacks two methods, which are added here; transformers 5 needs nothing.
"""

import copy
import functools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from tools.check.sampling_runs import MAX_CODES, Run, checksum, draws, text
from tools.reference import modules, stages
from tools.reference.golden.inputs import Draws

ROUNDING = 1e-6
"""Relative size of the noise that `wobble` adds to the logits: a few float32 roundings."""


class Past(tuple):
    """Keys and values as transformers 4.46 holds them, with their length."""

    def get_seq_length(self) -> int:
        """Positions so far."""
        return self[0][0].shape[-2]


def with_old_loop(model: Any) -> None:
    """Adds the methods that the generation loop of transformers 4.46 calls."""
    prepare = model.prepare_inputs_for_generation

    @functools.wraps(prepare)
    def prepared(ids: Tensor, past_key_values: Any = None, **more: Any) -> Any:
        past = None if past_key_values is None else Past(past_key_values)
        return prepare(ids, past_key_values=past, **more)

    def reordered(past: Any, rows: Tensor) -> Any:
        return tuple(tuple(a.index_select(0, rows) for a in layer) for layer in past)

    model.prepare_inputs_for_generation = prepared
    model._reorder_cache = reordered


class ReferenceGPT:
    """The reference's autoregressive model of one set."""

    def __init__(self, folder: Path):
        self.gpt = modules.load(folder / "checkpoints").gpt
        if int(transformers.__version__.split(".")[0]) < 5:
            with_old_loop(self.gpt.inference_model)
        tensors = folder / "tensors"
        with np.load(tensors / "w2v.npz") as semantic, np.load(tensors / "gpt.npz") as arrays:
            self.speaker = torch.from_numpy(semantic["spk_semantic"])
            self.emotion = torch.from_numpy(semantic["emo_semantic"])
            self.vector = torch.from_numpy(arrays["emovec"])

    def result(self, run: Run, wobble: int) -> dict[str, Any]:
        """Codes of a run, its smallest margin, and how many repeats with noise give other codes."""
        longest = self.gpt.text_pos_embedding.emb.num_embeddings - 2
        ids = text(run, self.gpt.text_embedding.num_embeddings, longest)
        noise = draws(run, self.gpt.mel_head.out_features)
        codes, watched = self.codes(run, ids, noise)
        others = 0
        for seed in range(wobble):
            with self.noisy(seed):
                others += self.codes(run, ids, noise)[0] != codes
        return {
            "codes": codes,
            "margin": min(watched.margins),
            "spare": watched.fewest,
            "others": others,
            "checksum": checksum(ids, noise),
        }

    def codes(self, run: Run, ids: np.ndarray, noise: np.ndarray) -> tuple[list[int], Draws]:
        """Codes of a run, with the stop code if there is one, and the draws as they were used."""
        watched = Draws(noise, np.random.default_rng(0))
        settings = {"num_beams": run.beams, **run.settings}
        del settings["beams"]
        if run.beams == 1:
            del settings["length_penalty"]
        with self.biased(run.stop_bias), watched.installed(), torch.no_grad():
            codes = stages.search(
                self.gpt,
                self.speaker,
                torch.from_numpy(ids),
                self.emotion,
                self.vector,
                max_codes=MAX_CODES,
                do_sample=True,
                **settings,
            )[0]
        return codes[0].tolist(), watched

    @contextmanager
    def biased(self, bias: float) -> Iterator[None]:
        """Adds to the bias of the stop code within the context."""
        held = self.gpt.mel_head.bias
        before = copy.deepcopy(held.data)
        held.data[self.gpt.stop_mel_token] += bias
        try:
            yield
        finally:
            held.data.copy_(before)

    @contextmanager
    def noisy(self, seed: int) -> Iterator[None]:
        """Adds noise of the size of rounding to the logits within the context."""
        random = torch.Generator().manual_seed(seed)

        def disturb(module: Any, args: Any, output: Tensor) -> Tensor:
            return output * (1 + ROUNDING * torch.randn(output.shape, generator=random))

        hook = self.gpt.mel_head.register_forward_hook(disturb)
        try:
            yield
        finally:
            hook.remove()


def main() -> None:
    """Reads the runs, writes their results."""
    torch.set_num_threads(1)
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    open_set = functools.cache(ReferenceGPT)
    results = []
    for given in request["runs"]:
        run = Run(**given)
        results.append(open_set(Path(request["sets"][run.set])).result(run, request["wobble"]))
        print("done", flush=True)
    answer = {"torch": torch.__version__, "transformers": transformers.__version__}
    Path(sys.argv[2]).write_text(json.dumps(answer | {"results": results}), encoding="utf-8")


if __name__ == "__main__":
    main()
