"""Makes a small model set of IndexTTS-2.5 with golden values, with the PyTorch reference.

    PYTHONPATH=SOURCES:. REFERENCE/bin/python -m tools.make.golden25 SET

SOURCES is a directory with the reference's own sources (version 2.5 is in no package), REFERENCE an
environment with
    pip install torch==2.13.0 transformers==4.52.1 tiktoken fugashi unidic-lite numba \\
        more-itertools descript-audiotools numpy scipy librosa soundfile einops omegaconf munch \\
        sentencepiece safetensors matplotlib
    pip install --no-deps torchaudio==2.11.0 openai-whisper
    rm SITE_PACKAGES/torchaudio/lib/_torchaudio.abi3.so    (it needs CUDA; nothing here uses it)

Sizes are those of `golden25_sizes.py`; the configuration has paths of another machine, as early
copies of the published one. The prompts are pieces of the demo's
recording. Texts are such that no normaliser changes them.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import soundfile
import tiktoken
import tiktoken.load
import torch
import torchaudio
import transformers
from indextts.codec.models import EnhancedCodec
from indextts.gpt.conformer_encoder import ConformerEncoder
from indextts.gpt.model_v2 import UnifiedVoice
from indextts.gpt.perceiver import PerceiverResampler
from indextts.s2mel.modules.campplus.DTDNN import CAMPPlus
from omegaconf import OmegaConf
from torch import Tensor, nn

from indextts_jax.text.v25.language_codes import ROW
from indextts_jax.text.v25.special_tokens import SPECIAL_TOKENS
from tools import ROOT
from tools.make import golden25_sizes as sizes
from tools.make import golden_models as models
from tools.reference import modules as ref
from tools.reference import stages
from tools.reference.golden.inputs import Draws

SEED, PENALTY, ALPHA = 20252, 10.0, 0.6
NAME = "multilingual_zh_ja_yue_char_del.tiktoken"
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TEXTS = (("es", "HOLA MUNDO!"), ("ko", "hello"))  # as they reach the tokenizer
FRAMES = 1.72
LIMITS = {"codes": 21, "sampled": 14}


def gpt_module(cfg: Any) -> UnifiedVoice:
    """The GPT of widths that the reference hard-codes."""
    gpt = UnifiedVoice(**cfg.gpt, spk_cond_mode="campplus")
    part = cfg.gpt.emo_condition_module
    kept = {key: value for key, value in part.items() if key != "perceiver_mult"}
    gpt.emo_conditioning_encoder = ConformerEncoder(input_size=sizes.SEMANTIC, **kept)
    gpt.emo_perceiver_encoder = PerceiverResampler(
        sizes.EMOTION_WIDTH,
        dim_context=part.output_size,
        ff_mult=part.perceiver_mult,
        heads=part.attention_heads,
        num_latents=1,
    )
    gpt.emovec_layer = nn.Linear(sizes.EMOTION_WIDTH, cfg.gpt.model_dim)
    gpt.spk_emb_proj = nn.Linear(sizes.STYLE, cfg.gpt.model_dim)
    return gpt


class Modules:
    """The reference's modules with random weights, and the files that hold them."""

    def __init__(self, folder: Path):
        self.folder, self.cfg = folder / "checkpoints", OmegaConf.create(sizes.CONFIG)
        hub = self.folder / "hf_cache"
        for name in ("w2v-bert-2.0", "bigvgan"):
            (hub / name).mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.cfg, self.folder / "config.yaml")
        lines = (ROOT / "tests/data/tiny25/checkpoints" / NAME).read_bytes().splitlines(True)
        (self.folder / NAME).write_bytes(b"".join(lines[: sizes.RANKS]))
        self.gpt = gpt_module(self.cfg)
        models._randomise(self.gpt, models.GPT_GAINS)
        with torch.no_grad():
            self.gpt.mel_head.bias[self.cfg.gpt.stop_mel_token] += models.STOP_BIAS
        torch.save(models._state(self.gpt), self.folder / "gpt.pth")
        self.codec = EnhancedCodec(**self.cfg.semantic_codec, cfg=self.cfg.semantic_codec)
        models._randomise(self.codec, models.CODEC_GAINS)
        weights = {"model": models._state(self.codec), "optimizer": {"state": {}}}
        torch.save(weights, self.folder / "codec.pth")
        self._acoustic(hub)
        self._encoders(hub, folder)
        rows = sum(self.cfg.emo_num)
        self.speakers = 5 * torch.randn(rows, sizes.STYLE)
        self.emotions = 0.5 * torch.randn(rows, self.cfg.gpt.model_dim)
        torch.save(self.speakers, self.folder / "feat1.pt")
        torch.save(self.emotions, self.folder / "feat2.pt")
        for module in vars(self).values():
            if isinstance(module, nn.Module):
                module.eval().requires_grad_(False)
        self.gpt.post_init_gpt2_config(use_deepspeed=False, kv_cache=True, half=False)
        self.gpt.eval()

    def _acoustic(self, hub: Path) -> None:
        s2mel = ref.s2mel_modules(self.cfg)
        widths = (self.cfg.gpt.model_dim, *sizes.GPT_LAYER, sizes.SEMANTIC)
        s2mel["gpt_layer"] = nn.Sequential(*map(nn.Linear, widths, widths[1:]))
        for module in s2mel.values():
            models._randomise(module, models.FLOW_GAINS)
        torch.save(
            {"net": {name: models._state(module) for name, module in s2mel.items()}},
            self.folder / "s2mel.pth",
        )
        self.cfm, self.regulator = s2mel["cfm"], s2mel["length_regulator"]
        self.cfm.estimator.setup_caches(max_batch_size=1, max_seq_length=8192)
        models._json(hub / "bigvgan/config.json", sizes.BIGVGAN)
        self.bigvgan = ref._bigvgan(hub / "bigvgan/config.json")
        models._randomise(self.bigvgan, models.VOCODER_GAINS)
        torch.save({"generator": models._state(self.bigvgan)}, hub / "bigvgan/bigvgan_generator.pt")
        self.bigvgan.remove_weight_norm()

    def _encoders(self, hub: Path, folder: Path) -> None:
        settings = transformers.Wav2Vec2BertConfig(**sizes.W2V)
        self.w2v = transformers.Wav2Vec2BertModel(settings)
        models._randomise(self.w2v, models.W2V_GAINS)
        path = hub / "w2v-bert-2.0"
        safetensors.torch.save_file(
            models._state(self.w2v), path / "model.safetensors", {"format": "pt"}
        )
        settings.architectures = ["Wav2Vec2BertModel"]
        written = {k: v for k, v in settings.to_dict().items() if k != "dtype"}
        models._json(path / "config.json", {**written, "torch_dtype": "float32"})
        models._json(path / "preprocessor_config.json", sizes.EXTRACTOR)
        self.extractor = transformers.SeamlessM4TFeatureExtractor.from_pretrained(path)
        audio = ref.load_audio(folder / "speaker.wav", 16000).numpy()
        found = self.extractor(audio, sampling_rate=16000, return_tensors="pt")
        with torch.no_grad():
            self.w2v.eval()
            hidden = self.w2v(**found, output_hidden_states=True).hidden_states[stages.HIDDEN][0]
        self.mean = hidden.mean(0) + 0.2 * torch.randn(hidden.shape[1])
        self.var = hidden.var(0) * (0.6 + torch.rand(hidden.shape[1]))
        torch.save({"mean": self.mean, "var": self.var}, self.folder / "wav2vec2bert_stats.pt")
        self.campplus = CAMPPlus(feat_dim=80, embedding_size=sizes.STYLE, **sizes.CAMPPLUS)
        models._randomise(self.campplus, ((r"linear_local|linear\d?\.weight", 1.4),))
        torch.save(models._state(self.campplus), hub / "campplus_cn_common.bin")

    @property
    def config(self) -> Any:
        """As `tools.reference.modules.Reference` names it."""
        return self.cfg

    def semantic(self, audio: Tensor) -> tuple[dict[str, Tensor], tuple[Tensor, ...], Tensor]:
        """Inputs, hidden states and normalised features of 16 kHz audio."""
        found = self.extractor(audio.numpy(), sampling_rate=16000, return_tensors="pt")
        hidden = self.w2v(**found, output_hidden_states=True).hidden_states
        return found, hidden, (hidden[stages.HIDDEN] - self.mean) / torch.sqrt(self.var)

    def stretch(self, sequence: Tensor, frames: int) -> Tensor:
        """A sequence, stretched to mel frames."""
        target = torch.tensor([frames])
        return self.regulator(sequence, ylens=target, n_quantizers=3, f0=None)[0]


def prompts(folder: Path) -> None:
    """Two pieces of the demo's recording, of odd lengths, at other rates."""
    audio, rate = soundfile.read(ROOT / "indextts_jax/data/demo_speaker.wav", dtype="float32")
    found = torch.from_numpy(audio)[None]
    for name, target, first, last in (("speaker", 24000, 0.3, 1.13), ("emotion", 8000, 1.5, 2.015)):
        piece = torchaudio.transforms.Resample(rate, target)(found)[0].numpy()
        soundfile.write(
            folder / f"{name}.wav", piece[int(first * target) : int(last * target)], target
        )


def tokens() -> tiktoken.Encoding:
    """The tokenizer of the small file of ranks."""
    ranks = tiktoken.load.load_tiktoken_bpe(str(ROOT / "tests/data/tiny25/checkpoints" / NAME))
    kept = {token: rank for token, rank in ranks.items() if rank < sizes.RANKS}
    special = {token: sizes.RANKS + index for index, token in enumerate(SPECIAL_TOKENS)}
    return tiktoken.Encoding("small", pat_str=PATTERN, mergeable_ranks=kept, special_tokens=special)


@torch.no_grad()
def values(folder: Path, net: Modules) -> dict[str, dict[str, Any]]:
    """The arrays of every stage."""
    out: dict[str, dict[str, Any]] = {}
    spk_22k, emo_16k = (
        ref.load_audio(folder / "speaker.wav"),
        ref.load_audio(folder / "emotion.wav", 16000),
    )
    spk_16k, route_16k = (
        ref.resample(spk_22k, 22050, 16000),
        ref.load_audio(folder / "speaker.wav", 16000),
    )
    spk_in, hidden, spk = net.semantic(spk_16k)
    emo_in, _, emo = net.semantic(emo_16k)
    route = net.semantic(route_16k)[2]
    fbank = torchaudio.compliance.kaldi.fbank(
        spk_16k, num_mel_bins=80, dither=0, sample_frequency=16000
    )
    mel = ref.mel(net, spk_22k)
    centred = fbank - fbank.mean(dim=0, keepdim=True)
    out["audio"] = {"spk_22k": spk_22k, "spk_16k": spk_16k, "emo_16k": emo_16k}
    for name, found in (("spk", spk_in), ("emo", emo_in)):
        out["audio"] |= {
            f"{name}_features": found["input_features"],
            f"{name}_mask": found["attention_mask"],
        }
    out["audio"] |= {"ref_mel": mel, "fbank": fbank, "fbank_centered": centred}
    out["w2v"] = {"spk_semantic": spk, "emo_semantic": emo, "spk_semantic_emotion_route": route}
    out["w2v"] |= {"hidden_0": hidden[0], "hidden_17": hidden[stages.HIDDEN]}
    style = net.campplus(centred[None])
    out["campplus"] = {"style": style}
    gpt, width = net.gpt, stages.widths(spk)
    emovec = stages.blended_emotion(gpt, spk, emo, ALPHA)
    row = gpt.spk_emb_proj(style)[None]
    out["conditioning"] = {
        "style": style,
        "speaker_row": row,
        "emo_conformer_out": gpt.emo_conditioning_encoder(emo, width)[0],
        "emo_perceiver_out": gpt.get_emo_conditioning(emo.transpose(1, 2), width),
        "emovec_speaker": gpt.get_emovec(spk, width),
        "emovec_emotion": gpt.get_emovec(emo, width),
        "emovec_speaker_emotion_route": gpt.get_emovec(route, width),
        "emovec_alpha_0_6": emovec,
        "conds": torch.cat([row + emovec[:, None], torch.zeros(1, 2, row.shape[-1])], 1),
    }
    groups = (net.speakers.split(list(net.cfg.emo_num)), net.emotions.split(list(net.cfg.emo_num)))
    weights = torch.tensor(sizes.RECIPE["emotion_weights"])
    rows = torch.stack([torch.cosine_similarity(style, group).argmax() for group in groups[0]])
    picked = torch.stack([group[row] for group, row in zip(groups[1], rows, strict=True)])
    part = (weights[:, None] * picked).sum(0, keepdim=True)
    own = out["conditioning"]["emovec_speaker_emotion_route"]
    out["emotion_vector"] = {
        "weights": weights,
        "rows": rows,
        "matrix_part": part,
        "emovec": part + (1 - weights.sum()) * own,
    }
    out |= codes(net, spk, emo, emovec, style)
    out["codec"] = codec(net, spk, out["gpt"]["greedy_codes"])
    out |= acoustic(net, out, spk, style)
    return {stage: {n: _array(v) for n, v in arrays.items()} for stage, arrays in out.items()}


def _array(value: Any) -> np.ndarray:
    return value.numpy().copy() if isinstance(value, Tensor) else np.asarray(value)


def codec(net: Modules, spk: Tensor, greedy: Tensor) -> dict[str, Any]:
    """Encoding of an even and an odd number of features, and decoding."""
    even = spk[:, : spk.shape[1] // 2 * 2]
    quantizer = net.codec.quantizer.quantizers[0]
    down = torch.nn.functional.gelu(net.codec.down(even.transpose(1, 2))).transpose(1, 2)
    encoded = net.codec.encoder(down.transpose(1, 2))
    found, quantized = net.codec.quantize(even)
    odd_codes, odd = net.codec.quantize(even[:, :-1])
    given = _cut(greedy, net.cfg.gpt.stop_mel_token)[:, :21]
    vectors = net.codec.quantizer.vq2emb(given[None])
    decoded = net.codec.decoder(vectors)
    return {
        "even_in": even,
        "down": down,
        "encoder_out": encoded,
        "projected": quantizer.in_project(encoded.transpose(1, 2)).transpose(1, 2),
        "codes": found.reshape(1, -1),
        "quantized": quantized,
        "odd_codes": odd_codes.reshape(1, -1),
        "odd_quantized": odd,
        "decode_codes": given,
        "vq2emb": vectors,
        "decoder_out": decoded,
        "decoded": net.codec.decode(given),
    }


def _cut(codes: Tensor, stop: int) -> Tensor:
    ends = (codes[0] == stop).nonzero()
    return codes[:, : int(ends[0])] if len(ends) else codes


def codes(
    net: Modules, spk: Tensor, emo: Tensor, emovec: Tensor, style: Tensor
) -> dict[str, dict[str, Any]]:
    """Prefix, logits and codes: of one text, of two, and drawn."""
    gpt, encode = net.gpt, tokens().encode
    ids = [
        torch.tensor([[*encode(f"<|{lang}|> {text}", allowed_special="all"), 1]], dtype=torch.int32)
        for lang, text in TEXTS
    ]
    langs = torch.tensor([ROW[lang] for lang, _ in TEXTS])
    built: list[Any] = []
    build = gpt.prepare_gpt_inputs

    def recording(*given: Any) -> Any:
        built.append(build(*given))
        return built[-1]

    gpt.prepare_gpt_inputs = recording

    def search(text: Tensor, lang: Tensor, most: int, **settings: Any) -> Tensor:
        return gpt.inference_speech(
            spk,
            text,
            lang,
            emo,
            cond_lengths=stages.widths(spk),
            emo_cond_lengths=stages.widths(emo),
            emo_vec=emovec,
            campplus_embedding=style,
            max_generate_length=most,
            num_return_sequences=1,
            **settings,
        )[0]

    logits: list[Tensor] = []
    hook = gpt.inference_model.register_forward_hook(
        lambda module, args, output: logits.append(output.logits[:, -1])
    )
    greedy: dict[str, Any] = {"do_sample": False, "num_beams": 1}
    most, one = LIMITS["codes"], langs[:1]
    found = search(ids[0], one, most, **greedy, repetition_penalty=PENALTY)
    hook.remove()
    _, prefix, mask = built[0]
    beams = {"do_sample": False}
    single = {
        "text_ids": ids[0],
        "lang_id": one,
        "style": style,
        "emovec": emovec,
        "conds": torch.cat(
            [gpt.spk_emb_proj(style)[None] + emovec[:, None], torch.zeros(1, 2, emovec.shape[-1])],
            1,
        ),
        "prefix": prefix,
        "mask": mask,
        "greedy_codes": found,
        "greedy_codes_no_penalty": search(ids[0], one, most, **greedy, repetition_penalty=1.0),
        "beam3_codes": search(
            ids[0], one, most, **beams, num_beams=3, repetition_penalty=PENALTY, length_penalty=0.0
        ),
        "beam4_lp1_codes": search(
            ids[0], one, most, **beams, num_beams=4, repetition_penalty=2.0, length_penalty=1.0
        ),
        "step_logits": torch.stack(logits, 1)[:, :11],
        "settings": json.dumps({"max_codes": most, "penalty": PENALTY, "scored_penalty": 2.0}),
    }
    both = torch.ones(2, max(len(row[0]) for row in ids), dtype=torch.int32)
    for row, given in zip(both, ids, strict=True):
        row[: given.shape[1]] = given[0]
    built.clear()
    batch = {"text_ids": both, "lang_ids": langs}
    batch["greedy_codes"] = search(both, langs, most, **greedy, repetition_penalty=PENALTY)
    batch |= {"prefix": built[0][1], "mask": built[0][2]}
    drawn: dict[str, Any] = {}
    for case, settings in sizes.RECIPE["sampling"].items():
        draws = Draws(None, np.random.default_rng([SEED, len(drawn)]))
        with draws.installed():
            made = search(ids[0], one, LIMITS["sampled"], do_sample=True, **settings)
        drawn |= {
            f"{case}_exponential": np.stack(draws.rows),
            f"{case}_codes": made,
            f"{case}_settings": json.dumps(settings),
        }
    gpt.prepare_gpt_inputs = build
    return {"gpt": single, "gpt_batch": batch, "gpt_sampling": drawn}


def acoustic(
    net: Modules, out: dict[str, dict[str, Any]], spk: Tensor, style: Tensor
) -> dict[str, dict[str, Any]]:
    """Conditions, flow and waveform; and one run from audio files to the waveform."""
    mel, rng = out["audio"]["ref_mel"], np.random.default_rng(SEED)
    frames = mel.shape[-1]
    nearest = torch.from_numpy(rng.integers(50, size=(1, 13)))
    given = _cut(out["gpt"]["greedy_codes"], net.cfg.gpt.stop_mel_token)
    decoded, prompt = net.codec.decode(given), net.stretch(spk, frames)
    targets = {f: int((2 * given.shape[1] * FRAMES) * f) for f in (1.0, 0.7)}
    near = net.codec.decode(nearest)
    regulator = {
        "nearest_in": near,
        "nearest_length": np.int64([44]),
        "nearest_out": net.stretch(near, 44),
        "prompt_in": spk,
        "prompt_condition": prompt,
        "codes": given,
        "infer_in": decoded,
        "target_length": np.int64([targets[1.0]]),
        "condition": net.stretch(decoded, targets[1.0]),
        "duration_factor": np.float64(0.7),
        "target_length_0_7": np.int64([targets[0.7]]),
        "condition_0_7": net.stretch(decoded, targets[0.7]),
    }
    condition = torch.cat([prompt, regulator["condition"]], 1)
    shape = (1, mel.shape[1], condition.shape[1])
    noise = torch.from_numpy(rng.standard_normal(shape, np.float32))
    padded, length = stages.padded_prompt(mel, shape[-1]), torch.tensor([shape[-1]])
    velocity = net.cfm.estimator(noise, padded, length, torch.tensor([0.3]), style, condition)
    flow: Callable[..., Tensor] = stages.flow
    euler = {
        f"euler{n}_cfg0_7": flow(net, condition, mel, style, noise, steps=n, guidance=0.7)
        for n in (4, 25)
    }
    cfm = {"noise": noise, "prompt_mel": mel, "condition": condition, "style": style}
    cfm |= {"estimator_t0_3": velocity, **euler}
    piece = mel[..., :40]
    made = euler["euler25_cfg0_7"][..., frames:]
    wav = net.bigvgan(made).squeeze(1)
    scaled = torch.clamp(32767 * wav, -32767.0, 32767.0).type(torch.int16).numpy().T
    lang, text = TEXTS[0]
    settings = {"emo_audio_prompt": "emotion.wav", "emo_alpha": ALPHA, "num_beams": 1, "top_k": 1}
    run = {
        "text": text.lower(),
        "lang": lang,
        "settings": json.dumps({**settings, "max_mel_tokens": LIMITS["codes"]}),
        "segments": np.int64(1),
        "lang_id": out["gpt"]["lang_id"],
        "emovec": out["gpt"]["emovec"],
        "wav_int16": scaled,
        "ids_0": out["gpt"]["text_ids"],
        "codes_0": out["gpt"]["greedy_codes"],
        "noise_0": noise,
        "mel_0": made,
        "wav_0": wav,
    }
    vocoder = {"mel_in": piece, "wav_from_mel": net.bigvgan(piece)}
    return {"length_regulator": regulator, "cfm": cfm, "bigvgan": vocoder, "end_to_end": run}


def main() -> None:
    """Writes the set that the argument names."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.make.golden25",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", type=Path, help="directory to write")
    folder = parser.parse_args().set
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    prompts(folder)
    arrays = values(folder, Modules(folder))
    (folder / "tensors").mkdir()
    for stage, found in arrays.items():
        np.savez_compressed(folder / "tensors" / f"{stage}.npz", **found)


if __name__ == "__main__":
    main()
