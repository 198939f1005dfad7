"""The process that serves the PyTorch reference's own stages of IndexTTS-2.5.

PYTHONPATH=SOURCES:. REFERENCE/bin/python -m tools.reference.worker25   (started by a benchmark)

SOURCES and REFERENCE are those of `tools.make.golden25`. Weights are random, of the sizes in a
`config.yaml`: time does not depend on values.
"""

import resource
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers
from indextts.codec.models import EnhancedCodec
from indextts.gpt.model_v2 import UnifiedVoice
from omegaconf import OmegaConf
from torch import Tensor, nn

from benchmarks.workers.protocol import serve
from benchmarks.workload import NEVER

PENALTY = 10.0
PROMPT = 8  # rows of a prompt that only its length is taken from


class ReferenceStages:
    """The GPT's search and the codec's decoder; every other network is that of version 2."""

    def __init__(self, request: dict[str, Any]):
        transformers.utils.logging.disable_progress_bar()
        if request.get("threads"):
            torch.set_num_threads(request["threads"])
        torch.manual_seed(0)
        self.config = OmegaConf.load(request["config"])

    def about(self) -> dict[str, Any]:
        """Versions and device."""
        versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        return {**versions, "device": "cpu", "dtype": "float32", "threads": torch.get_num_threads()}

    def memory(self) -> dict[str, int]:
        """Bytes at most so far."""
        return {"process": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}

    def open(self, stage: str, work: dict[str, Any], sizes: dict[str, int]) -> Callable[[], Any]:
        """The stage as a call without arguments."""
        run = getattr(self, f"_{stage}")(work, sizes)

        def once() -> Any:
            with torch.no_grad():
                return run()

        return once

    def results(self, found: Any) -> dict[str, np.ndarray]:
        """Arrays by name."""
        return {name: array.numpy() for name, array in found.items()}

    def _codes(self, work: dict[str, Any], sizes: dict[str, int]) -> Callable[[], Any]:
        gpt = UnifiedVoice(**self.config.gpt, spk_cond_mode="campplus")
        _filled(gpt)
        gpt.post_init_gpt2_config(use_deepspeed=False, kv_cache=True, half=False)
        gpt.eval()
        with torch.no_grad():
            for code in (gpt.stop_mel_token, gpt.start_mel_token):
                gpt.mel_head.bias[code] = NEVER
        text = torch.randint(2, sizes["text"], (1, work["tokens"]), dtype=torch.int32)
        prompt = torch.randn(1, PROMPT, sizes["semantic"])
        given = {
            "cond_lengths": torch.tensor([PROMPT]),
            "emo_cond_lengths": torch.tensor([PROMPT]),
            "emo_vec": torch.randn(1, sizes["width"]),
            "campplus_embedding": torch.randn(1, sizes["style"]),
            "max_generate_length": work["codes"],
            "num_return_sequences": 1,
            "do_sample": False,
            "num_beams": work["beams"],
            "length_penalty": 0.0,
            "repetition_penalty": PENALTY,
        }

        def run() -> dict[str, Tensor]:
            codes, *_ = gpt.inference_speech(prompt, text, torch.tensor([0]), prompt, **given)
            assert codes.shape == (1, work["codes"]), codes.shape
            return {"codes": codes}

        return run

    def _codec(self, work: dict[str, Any], sizes: dict[str, int]) -> Callable[[], Any]:
        settings = self.config.semantic_codec
        codec = EnhancedCodec(**settings, cfg=settings)
        _filled(codec)
        codec.eval()
        codes = torch.randint(0, settings.codebook_size, (1, work["codes"]))
        return lambda: {"features": codec.decode(codes)}


def _filled(module: nn.Module) -> None:
    """Small random numbers in all kernels, so that no step is slow because of odd values."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.02)


if __name__ == "__main__":
    serve(ReferenceStages)
