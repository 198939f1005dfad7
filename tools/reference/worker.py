"""The PyTorch reference's side: `python -m sides.theirs`, in its own environment.

`tools` must be on the path too: the modules are filled as `tools/golden/reference.py` does it.
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
from golden.reference import Files, Reference
from torch import Tensor
from work import NEVER, Work, inputs

from sides.protocol import serve

HIDDEN = 17  # hidden state that is used of the semantic encoder


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


class Theirs:
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
        w2v, mean, var = self.reference.w2v, self.reference.mean, self.reference.var
        mask = torch.ones(given["features"].shape[:2], dtype=torch.int64, device=self.device)

        def run() -> dict[str, Tensor]:
            found = w2v(
                input_features=given["features"], attention_mask=mask, output_hidden_states=True
            )
            return {"semantic": (found.hidden_states[HIDDEN] - mean) / torch.sqrt(var)}

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
        width = torch.tensor([semantic.shape[-1]], device=self.device)  # as the reference has it

        def run() -> dict[str, Tensor]:
            with self._autocast():
                return {
                    "latents": gpt.get_conditioning(semantic.transpose(1, 2), width),
                    "emotion": gpt.merge_emovec(semantic, semantic, width, width, alpha=1.0),
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
                codes, _ = gpt.inference_speech(
                    nothing,
                    given["text"],
                    nothing,
                    emo_vec=given["emotion"],
                    max_generate_length=work.codes,
                    repetition_penalty=10.0,
                    **settings,
                )
            assert codes.shape == (1, work.codes), codes.shape
            return {"codes": codes}

        return run

    def _latents(self, work: Work, given: dict[str, Tensor]) -> Callable[[], Any]:
        gpt = self._gpt()
        nothing = torch.zeros(1, 1, 1, device=self.device)
        one = torch.ones(1, dtype=torch.int64, device=self.device)
        lengths = {name: given[name].shape[1] * one for name in ("text", "codes")}

        def run() -> dict[str, Tensor]:
            with self._autocast():
                hidden = gpt(
                    given["latents"],
                    given["text"],
                    lengths["text"],
                    given["codes"],
                    lengths["codes"],
                    nothing,
                    cond_mel_lengths=one,
                    emo_cond_mel_lengths=one,
                    emo_vec=given["emotion"],
                    use_speed=0 * one,
                )
            return {"latents": hidden}

        return run

    def _flow(self, work: Work, given: dict[str, Tensor]) -> Callable[[], Any]:
        reference, codec = self.reference, self.reference.codec
        mel, noise = (given[name].transpose(1, 2) for name in ("mel", "noise"))
        total = torch.tensor([noise.shape[-1]], device=self.device)
        target = torch.tensor([work.frames], device=self.device)

        def run() -> dict[str, Tensor]:
            sequence = codec.quantizer.vq2emb(given["codes"].unsqueeze(1)).transpose(1, 2)
            sequence = sequence + reference.gpt_layer(given["hidden"])
            made = reference.regulator(sequence, ylens=target, n_quantizers=3, f0=None)[0]
            condition = torch.cat([given["condition"], made], 1)
            with mock.patch.object(torch, "randn", return_value=noise.clone()):
                found = reference.cfm.inference(
                    condition,
                    total,
                    mel,
                    given["style"],
                    None,
                    work.steps,
                    inference_cfg_rate=work.guidance,
                )
            return {"mel": found[..., mel.shape[-1] :].transpose(1, 2)}

        return run

    def _vocoder(self, work: Work, given: dict[str, Tensor]) -> Callable[[], Any]:
        bigvgan, mel = self.reference.bigvgan, given["mel"].transpose(1, 2)
        return lambda: {"wave": bigvgan(mel)[:, 0]}


if __name__ == "__main__":
    serve(Theirs)
