"""The arrays of each stage, as the PyTorch reference computes them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torchaudio
from golden.inputs import Draws, Inputs
from golden.reference import Reference, load_audio, mel, resample
from torch import Tensor

MAX_CODES, MAX_SAMPLED, LOGIT_STEPS = 48, 32, 21
ALPHA, GUIDANCE, STEPS, VOCODER_FRAMES = 0.6, 0.7, 25, 40
FRAMES_PER_CODE = 1.72
HIDDEN = 17

Arrays = dict[str, Any]


def compute(
    reference: Reference, speaker: Path, emotion: Path, inputs: Inputs, recipe: Mapping[str, Any]
) -> tuple[dict[str, Arrays], list[str]]:
    """All arrays by stage, and notes on how near to a tie the discrete choices came."""
    with torch.no_grad():
        return _Run(reference, inputs, recipe).all(speaker, emotion)


class _Run:
    def __init__(self, reference: Reference, inputs: Inputs, recipe: Mapping[str, Any]):
        self.ref, self.inputs, self.recipe = reference, inputs, recipe
        self.out: dict[str, Arrays] = {}
        self.notes: list[str] = []

    def all(self, speaker: Path, emotion: Path) -> tuple[dict[str, Arrays], list[str]]:
        self.audio(speaker, emotion)
        self.w2v()
        self.codec()
        self.campplus()
        self.conditioning()
        self.emotion_vector()
        self.gpt()
        self.gpt_batch()
        self.gpt_sampling()
        self.gpt_latent()
        self.length_regulator()
        self.cfm()
        self.vocoder()
        return self.out, self.notes

    def chosen(self, stage: str, name: str, make: Any) -> Tensor:
        """A chosen array, kept among the results."""
        array = self.inputs(stage, name, make)
        self.keep(stage, **{name: array})
        return torch.from_numpy(array)

    def keep(self, stage: str, **arrays: Any) -> None:
        """Adds results; tensors become arrays of their own."""
        stage_arrays = self.out.setdefault(stage, {})
        for name, array in arrays.items():
            is_tensor = isinstance(array, Tensor)
            stage_arrays[name] = array.numpy().copy() if is_tensor else np.asarray(array)

    def tensor(self, stage: str, name: str) -> Tensor:
        """An earlier result."""
        return torch.from_numpy(self.out[stage][name])

    # Encoders

    def audio(self, speaker: Path, emotion: Path) -> None:
        spk_22k = load_audio(speaker)
        spk_16k = resample(spk_22k, 22050, 16000)
        emo_16k = load_audio(emotion, 16000)
        self.keep("audio", spk_22k=spk_22k, spk_16k=spk_16k, emo_16k=emo_16k)
        for name, audio in (("spk", spk_16k), ("emo", emo_16k)):
            found = self.ref.extractor(audio.numpy(), sampling_rate=16000, return_tensors="pt")
            arrays = {f"{name}_features": found["input_features"]}
            self.keep("audio", **arrays, **{f"{name}_mask": found["attention_mask"]})
        fbank = torchaudio.compliance.kaldi.fbank(
            spk_16k, num_mel_bins=80, dither=0, sample_frequency=16000
        )
        centered = fbank - fbank.mean(dim=0, keepdim=True)
        self.keep("audio", ref_mel=mel(self.ref, spk_22k), fbank=fbank, fbank_centered=centered)

    def hidden(self, features: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return self.ref.w2v(
            input_features=features, attention_mask=mask, output_hidden_states=True
        ).hidden_states

    def w2v(self) -> None:
        for name in ("spk", "emo"):
            features, mask = (self.tensor("audio", f"{name}_{x}") for x in ("features", "mask"))
            hidden = self.hidden(features, mask)
            semantic = (hidden[HIDDEN] - self.ref.mean) / torch.sqrt(self.ref.var)
            self.keep("w2v", **{f"{name}_semantic": semantic})
            if name == "spk":
                self.keep("w2v", **{f"hidden_{i}": hidden[i] for i in (0, 1, HIDDEN)})
        features = self.chosen("w2v", "batch_features", self._batch_features)
        mask = self.chosen("w2v", "batch_mask", self._batch_mask)
        self.keep("w2v", batch_hidden_17=self.hidden(features, mask)[HIDDEN])

    def _batch_features(self, rng: np.random.Generator) -> np.ndarray:
        """The speaker's features twice; in the second row, noise past its length."""
        rows = np.repeat(self.out["audio"]["spk_features"], 2, axis=0)
        rest = rows[1, self.recipe["semantic_length"] :]
        rest[:] = rng.standard_normal(rest.shape)
        return rows

    def _batch_mask(self, rng: np.random.Generator) -> np.ndarray:
        rows = np.repeat(self.out["audio"]["spk_mask"], 2, axis=0)
        rows[1, self.recipe["semantic_length"] :] = 0
        return rows

    def codec(self) -> None:
        semantic = self.tensor("w2v", "spk_semantic")
        codes, quantized = self.ref.codec.quantize(semantic)
        encoded = self.ref.codec.encoder(semantic.transpose(1, 2))
        self.keep("codec", semantic=semantic, codes=codes, quantized=quantized)
        self.keep("codec", vq2emb=self.embedded(codes), encoder_out=encoded)

    def embedded(self, codes: Tensor) -> Tensor:
        return self.ref.codec.quantizer.vq2emb(codes.unsqueeze(1)).transpose(1, 2)

    def campplus(self) -> None:
        features = self.tensor("audio", "fbank_centered").unsqueeze(0)
        head = self.ref.campplus.head(features.permute(0, 2, 1))
        self.keep("campplus", style=self.ref.campplus(features), head_out=head)

    # Conditioning

    def conditioning(self) -> None:
        gpt = self.ref.gpt
        spk, emo = (self.tensor("w2v", f"{x}_semantic") for x in ("spk", "emo"))
        width = torch.tensor([spk.shape[-1]])  # The reference's lengths: the features' width.
        self.keep(
            "conditioning",
            conformer_out=gpt.conditioning_encoder(spk, width)[0],
            speaker_latents=gpt.get_conditioning(spk.transpose(1, 2), width),
            emo_conformer_out=gpt.emo_conditioning_encoder(emo, width)[0],
            emo_perceiver_out=gpt.get_emo_conditioning(emo.transpose(1, 2), width),
            emovec_speaker=gpt.get_emovec(spk, width),
            emovec_emotion=gpt.get_emovec(emo, width),
            emovec_alpha_0_6=gpt.merge_emovec(spk, emo, width, width, alpha=ALPHA),
        )

    def emotion_vector(self) -> None:
        style = self.tensor("campplus", "style")
        weights = self.chosen(
            "emotion_vector", "weights", lambda _: np.float32(self.recipe["emotion_weights"])
        )
        near = [torch.cosine_similarity(style, group) for group in self.ref.speaker_matrix]
        rows = torch.stack([similarity.argmax() for similarity in near])
        self.notes += [f"emotion rows: least gap {min(map(_gap, near)):.3g}"]
        picked = [group[row] for group, row in zip(self.ref.emotion_matrix, rows, strict=True)]
        matrix = (weights.unsqueeze(1) * torch.stack(picked)).sum(0, keepdim=True)
        base = self.tensor("conditioning", "emovec_speaker")
        emovec = matrix + (1 - weights.sum()) * base
        self.keep("emotion_vector", rows=rows, matrix_part=matrix, emovec=emovec)

    # Codes

    def generate(self, text: Tensor, *, most: int = MAX_CODES, **settings: Any) -> Any:
        """Codes and speaker latents of the reference's own generation."""
        rows = text.shape[0]
        spk, emo = (self.tensor("w2v", f"{x}_semantic") for x in ("spk", "emo"))
        emovec = self.tensor("conditioning", "emovec_alpha_0_6")
        width = torch.tensor([spk.shape[-1]] * rows)
        return self.ref.gpt.inference_speech(
            spk.expand(rows, -1, -1),
            text,
            emo.expand(rows, -1, -1),
            cond_lengths=width,
            emo_cond_lengths=width,
            emo_vec=emovec.expand(rows, -1),
            max_generate_length=most,
            **settings,
        )

    def prefixed(self, text: Tensor, **settings: Any) -> tuple[list[Any], Any]:
        """What the reference's prefix builder got and gave, and the result of the generation."""
        gpt, calls = self.ref.gpt, []
        build = gpt.prepare_gpt_inputs

        def recording(conds: Tensor, ids: Tensor) -> Any:
            built = build(conds, ids)
            calls.append((conds, *built))
            return built

        with mock.patch.object(gpt, "prepare_gpt_inputs", recording):
            result = self.generate(text, **settings)
        return calls[0], result

    def gpt(self) -> None:
        text = self.chosen("gpt", "text_ids", lambda _: self._ids("text"))
        steps: list[Tensor] = []
        hook = self.ref.gpt.inference_model.register_forward_hook(
            lambda module, args, output: steps.append(output.logits[:, -1])
        )
        greedy = {"do_sample": False, "num_beams": 1}
        (conds, _, prefix, _), (codes, latents) = self.prefixed(
            text, **greedy, repetition_penalty=10.0
        )
        hook.remove()
        logits = torch.stack(steps, 1)
        plain = self.generate(text, **greedy, repetition_penalty=1.0)[0]
        beams = {"do_sample": False, "num_beams": 3}
        beam3 = self.generate(text, **beams, repetition_penalty=10.0, length_penalty=0.0)[0]
        beams = {"do_sample": False, "num_beams": 4}
        beam4 = self.generate(text, **beams, repetition_penalty=2.0, length_penalty=1.0)[0]
        self.keep(
            "gpt",
            emovec=self.tensor("conditioning", "emovec_alpha_0_6"),
            prefix=prefix,
            conds=conds,
            greedy_codes=codes,
            greedy_codes_no_penalty=plain,
            beam3_codes=beam3,
            beam4_lp1_codes=beam4,
            step_logits=logits[:, :LOGIT_STEPS],
            speaker_latents=latents,
        )

    def _ids(self, text: str) -> np.ndarray:
        tokenizer = self.ref.tokenizer
        ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(self.recipe[text]))
        return np.int32([ids])

    def gpt_batch(self) -> None:
        text = self.chosen("gpt_batch", "text_ids", self._batch_ids)
        (_, _, prefix, mask), (codes, _) = self.prefixed(
            text, do_sample=False, num_beams=1, repetition_penalty=10.0
        )
        self.keep("gpt_batch", prefix=prefix, mask=mask, greedy_codes=codes)

    def _batch_ids(self, rng: np.random.Generator) -> np.ndarray:
        """The text, and a shorter one filled with id 1."""
        rows = np.repeat(self.out["gpt"]["text_ids"], 2, axis=0)
        second = self._ids("second_text")
        rows[1] = 1
        rows[1, : second.shape[1]] = second
        return rows

    def gpt_sampling(self) -> None:
        text = self.tensor("gpt", "text_ids")
        for case in ("beam3", "single", "single_typical", "beam3_typical"):
            settings = self.inputs(
                "gpt_sampling",
                f"{case}_settings",
                lambda _, case=case: json.dumps(self.recipe["sampling"][case]),
            )
            name = f"{case}_exponential"
            recorded = self.inputs.recorded and self.inputs("gpt_sampling", name, None)
            draws = Draws(recorded, self.inputs.generator("gpt_sampling", name))
            with draws.installed():
                options = json.loads(str(settings))
                codes = self.generate(text, most=MAX_SAMPLED, do_sample=True, **options)[0]
            self.notes.append(f"{case}: {draws.fewest} candidates to spare")
            self.keep("gpt_sampling", **{name: np.stack(draws.rows), f"{case}_codes": codes})
            self.keep("gpt_sampling", **{f"{case}_settings": settings})

    def gpt_latent(self) -> None:
        codes = _cut(self.tensor("gpt", "greedy_codes"), self.ref.gpt.stop_mel_token)
        self.keep("gpt_latent", codes=codes, latent=self.latent(codes))

    def latent(self, codes: Tensor) -> Tensor:
        gpt, text = self.ref.gpt, self.tensor("gpt", "text_ids")
        spk, emo = (self.tensor("w2v", f"{x}_semantic") for x in ("spk", "emo"))
        width = torch.tensor([spk.shape[-1]])
        return gpt(
            self.tensor("gpt", "speaker_latents"),
            text,
            torch.tensor([text.shape[-1]]),
            codes,
            torch.tensor([codes.shape[-1]]),
            emo,
            cond_mel_lengths=width,
            emo_cond_mel_lengths=width,
            emo_vec=self.tensor("gpt", "emovec"),
            use_speed=torch.zeros(1).long(),
        )

    # From codes to sound

    def regulate(self, x: Tensor, length: int) -> Tensor:
        return self.ref.regulator(x, ylens=torch.tensor([length]), n_quantizers=3, f0=None)[0]

    def length_regulator(self) -> None:
        stage = "length_regulator"
        x = self.chosen(stage, "nearest_in", self._codec_like)
        length = self.chosen(
            stage, "nearest_length", lambda _: np.int64([self.recipe["nearest"][1]])
        )
        self.keep(stage, nearest_out=self.regulate(x, int(length)))
        prompt = self.tensor("codec", "quantized")
        frames = self.out["audio"]["ref_mel"].shape[-1]
        self.keep(stage, prompt_in=prompt, prompt_condition=self.regulate(prompt, frames))
        codes = self.tensor("gpt_latent", "codes")
        projected = self.ref.gpt_layer(self.tensor("gpt_latent", "latent"))
        infer_in = self.embedded(codes) + projected
        target = (torch.tensor([codes.shape[-1]]) * FRAMES_PER_CODE).long()
        self.keep(stage, gpt_layer_out=projected, infer_in=infer_in, target_length=target)
        self.keep(stage, condition=self.regulate(infer_in, int(target)))

    def _codec_like(self, rng: np.random.Generator) -> np.ndarray:
        """Rows of the codec's codebook, as features, in random order."""
        size = self.ref.config.semantic_codec.codebook_size
        codes = torch.from_numpy(rng.integers(size, size=(1, self.recipe["nearest"][0])))
        return self.embedded(codes).numpy()

    def cfm(self) -> None:
        regulated = self.out["length_regulator"]
        names = ("prompt_condition", "condition")
        condition = torch.from_numpy(np.concatenate([regulated[n] for n in names], 1))
        prompt, style = self.tensor("audio", "ref_mel"), self.tensor("campplus", "style")
        shape = (1, prompt.shape[1], condition.shape[1])
        noise = self.chosen("cfm", "noise", lambda rng: rng.standard_normal(shape, np.float32))
        self.keep("cfm", prompt_mel=prompt, condition=condition, style=style)
        padded = torch.zeros(shape)
        padded[..., : prompt.shape[-1]] = prompt
        estimator, length = self.ref.cfm.estimator, torch.tensor([shape[-1]])
        velocity = estimator(noise, padded, length, torch.tensor([0.3]), style, condition)
        self.keep("cfm", estimator_t0_3=velocity)
        lengths = self.chosen("cfm", "batch_lengths", lambda _: self._batch_lengths(shape[-1]))
        x = self.chosen("cfm", "batch_x", lambda _: self._batch_x(lengths))
        t = self.chosen("cfm", "batch_t", lambda _: self.recipe["batch_t"])
        both = [array.expand(2, -1, -1) for array in (padded, condition)]
        velocity = estimator(x, both[0], lengths, t.float(), style.expand(2, -1), both[1])
        self.keep("cfm", batch_estimator=velocity)
        for name, steps, guidance in (
            ("euler4_cfg0_7", 4, GUIDANCE),
            ("euler25_cfg0_7", STEPS, GUIDANCE),
            ("euler4_cfg0", 4, 0.0),
        ):
            with mock.patch.object(torch, "randn", return_value=noise.clone()):
                flow = self.ref.cfm.inference(
                    condition, length, prompt, style, None, steps, inference_cfg_rate=guidance
                )
            self.keep("cfm", **{name: flow})

    def _batch_lengths(self, frames: int) -> np.ndarray:
        return np.int64([frames, frames - self.recipe["flow_shorter_by"]])

    def _batch_x(self, lengths: Tensor) -> np.ndarray:
        """Noise twice, zero past the second row's length."""
        rows = np.repeat(self.out["cfm"]["noise"], 2, axis=0)
        rows[1, :, int(lengths[1]) :] = 0
        return rows

    def vocoder(self) -> None:
        piece = self.tensor("audio", "ref_mel")[..., :VOCODER_FRAMES]
        self.keep("bigvgan", mel_in=piece, wav_from_mel=self.ref.bigvgan(piece))
        flow = self.tensor("cfm", "euler25_cfg0_7")
        generated = flow[..., self.out["audio"]["ref_mel"].shape[-1] :]
        wav = self.ref.bigvgan(generated)
        scaled = torch.clamp(32767 * wav, -32767.0, 32767.0)
        self.keep(
            "end_to_end",
            text_ids=self.tensor("gpt", "text_ids"),
            codes=self.tensor("gpt_latent", "codes"),
            noise=self.tensor("cfm", "noise"),
            mel=generated,
            wav=wav,
            wav_int16_scale=scaled,
        )


def _cut(codes: Tensor, stop: int) -> Tensor:
    """The codes before the first stop code."""
    ends = (codes[0] == stop).nonzero()
    return codes[:, : int(ends[0])] if len(ends) else codes


def _gap(scores: Tensor) -> float:
    """How much the best score is above the second; infinite for a single one."""
    best = torch.sort(scores, descending=True).values
    return float(best[0] - best[1]) if len(best) > 1 else float("inf")
