"""The process that serves the PyTorch reference's stages to `benchmarks.compare`.

REFERENCE/bin/python -m tools.reference.worker     (started by the benchmark)
"""

import contextlib
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import transformers
from torch import Tensor

from benchmarks.workers.protocol import serve
from benchmarks.workload import NEVER, Work, inputs
from tools.reference import stages
from tools.reference.modules import Files, Reference


@contextlib.contextmanager
def without_drawing() -> Iterator[None]:
    """Within it, new modules are not filled with random numbers, which files then replace."""
    names = [name for name in dir(torch.nn.init) if name.endswith("_") and name[0] != "_"]
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(
                mock.patch.object(torch.nn.init, name, lambda tensor, *_, **__: tensor)
            )
        yield


class ReferenceStages:
    """The reference, stage by stage; with `half`, codes and latents in its own float16."""

    def __init__(self, request: dict[str, Any]):
        self.device, self.half = request["device"], request["half"]
        if request.get("threads"):
            torch.set_num_threads(request["threads"])
        self.reference = Reference(Files(Path(request["folder"])), self.device)

    def about(self) -> dict[str, Any]:
        """Versions and device."""
        cuda = self.device.startswith("cuda")
        return {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "device": torch.cuda.get_device_name() if cuda else "cpu",
            "dtype": "float32, codes and latents float16" if self.half else "float32",
            "threads": torch.get_num_threads(),
        }

    def memory(self) -> dict[str, int]:
        """Bytes at most so far, of the process and of the device."""
        found = {"process": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
        if self.device.startswith("cuda"):
            found["device"] = torch.cuda.max_memory_allocated()
        return found

    def open(self, stage: str, work: dict[str, Any], sizes: dict[str, int]) -> Callable[[], Any]:
        """The stage as a call without arguments."""
        job = Work(**work)
        given = {
            name: torch.from_numpy(array).to(self.device)
            for name, array in inputs(stage, job, sizes).items()
        }
        with without_drawing():
            run = getattr(self, f"_{stage}")(job, given)

        def once() -> Any:
            with torch.no_grad(), torch.device(self.device):
                found = run()
            if self.device.startswith("cuda"):
                torch.cuda.synchronize()
            return found

        return once

    def results(self, found: Any) -> dict[str, np.ndarray]:
        """Arrays by name."""
        return {name: array.float().cpu().numpy() for name, array in found.items()}

    def _semantic_encoder(self, work: Work, given: dict[str, Tensor]) -> Callable[[], Any]:
        reference, features = self.reference, given["features"]
        _ = reference.w2v, reference.statistics  # loaded before anything is timed
        mask = torch.ones(features.shape[:2], dtype=torch.int64, device=self.device)

        def run() -> dict[str, Tensor]:
            hidden = stages.hidden_states(reference, features, mask)
            return {"semantic": stages.semantic_features(reference, hidden)}

        return run

    def _semantic_codec(self, work: Work, given: dict[str, Tensor]) -> Callable[[], Any]:
        codec = self.reference.codec
        return lambda: {"quantized": codec.quantize(given["semantic"])[1]}

    def _style_encoder(self, work: Work, given: dict[str, Tensor]) -> Callable[[], Any]:
        campplus = self.reference.campplus
        return lambda: {"style": campplus(given["banks"])}

    def _gpt(self) -> Any:
        gpt = self.reference.gpt
        if self.half:
            gpt.half()
        return gpt

    def _autocast(self) -> Any:
        if not self.half:
            return contextlib.nullcontext()
        return torch.amp.autocast(torch.device(self.device).type, dtype=torch.float16)

    def _conditioning(self, work: Work, given: dict[str, Tensor]) -> Callable[[], Any]:
        gpt, semantic = self._gpt(), given["semantic"]

        def run() -> dict[str, Tensor]:
            with self._autocast():
                return {
                    "latents": stages.speaker_latents(gpt, semantic),
                    "emotion": stages.blended_emotion(gpt, semantic, semantic, 1.0),
                }

        return run

    def _codes(self, work: Work, given: dict[str, Tensor]) -> Callable[[], Any]:
        gpt = self._gpt()
        for code in (gpt.stop_mel_token, gpt.start_mel_token):
            gpt.mel_head.bias.data[code] = NEVER
        # Conditioning is a stage of its own here; the reference does it again in each generation.
        gpt.get_conditioning = lambda *_: given["latents"]
        nothing = torch.zeros(1, 1, 1, device=self.device)
        settings: dict[str, Any] = {"do_sample": work.sample, "num_beams": work.beams}
        if work.sample:
            settings |= {"top_k": 30, "top_p": 0.8, "temperature": 0.8}
        if work.beams > 1:
            settings["length_penalty"] = 0.0

        def run() -> dict[str, Tensor]:
            with self._autocast():
                codes, _ = stages.search(
                    gpt,
                    nothing,
                    given["text"],
                    nothing,
                    given["emotion"],
                    max_codes=work.codes,
                    repetition_penalty=10.0,
                    **settings,
                )
            assert codes.shape == (1, work.codes), codes.shape
            return {"codes": codes}

        return run

    def _latents(self, work: Work, given: dict[str, Tensor]) -> Callable[[], Any]:
        gpt = self._gpt()
        nothing = torch.zeros(1, 1, 1, device=self.device)

        def run() -> dict[str, Tensor]:
            with self._autocast():
                hidden = stages.code_latents(
                    gpt, given["latents"], given["text"], given["codes"], nothing, given["emotion"]
                )
            return {"latents": hidden}

        return run

    def _flow(self, work: Work, given: dict[str, Tensor]) -> Callable[[], Any]:
        reference = self.reference
        _ = reference.codec, reference.cfm  # loaded before anything is timed
        mel, noise = (given[name].transpose(1, 2) for name in ("mel", "noise"))

        def run() -> dict[str, Tensor]:
            sequence = stages.code_features(reference, given["codes"])
            sequence = sequence + reference.gpt_layer(given["hidden"])
            stretched = stages.stretch(reference, sequence, work.frames)
            condition = torch.cat([given["condition"], stretched], 1)
            found = stages.flow(
                reference,
                condition,
                mel,
                given["style"],
                noise,
                steps=work.steps,
                guidance=work.guidance,
            )
            return {"mel": found[..., mel.shape[-1] :].transpose(1, 2)}

        return run

    def _vocoder(self, work: Work, given: dict[str, Tensor]) -> Callable[[], Any]:
        bigvgan, mel = self.reference.bigvgan, given["mel"].transpose(1, 2)
        return lambda: {"wave": bigvgan(mel)[:, 0]}


if __name__ == "__main__":
    serve(ReferenceStages)
