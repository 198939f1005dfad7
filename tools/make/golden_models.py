"""A model set of the sizes in `golden_sizes.py` with random weights, in the published files."""

import json
import math
import re
import subprocess
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import librosa
import numpy as np
import safetensors.torch
import soundfile
import torch
import transformers
from indextts.s2mel.modules.campplus.DTDNN import CAMPPlus
from indextts.utils.maskgct.models.codec.kmeans.repcodec_model import RepCodec
from omegaconf import OmegaConf
from torch import Tensor, nn

from tools.make import golden_sizes as sizes
from tools.make.pieces import padded
from tools.reference import modules as ref
from tools.reference.stages import HIDDEN

Gains = Sequence[tuple[str, float]]
"""(pattern of a parameter's name, factor on its usual spread): the first that matches counts."""

GPT_GAINS = (
    (r"linear_(q|k|pos)\.weight", 2.0),
    (r"pos_bias", 2.0),
    (r"to_(q|kv)\.weight", 2.0),
    (r"c_attn\.weight", 2.0),
    (r"mel_pos_embedding", 0.5),
    (r"(text|mel)_(pos_)?embedding", 0.5),
    (r"mel_head\.weight", 1.0),
)
W2V_GAINS = (
    (r"linear_(q|k)\.weight", 1.5),
    (r"distance_embedding", 0.5),
    (r"bias", 0.3),
    (r"encoder.*(linear|dense|pointwise)", 0.6),
)
CODEC_GAINS = ((r"in_project\.bias", 0.3),)
VOCODER_GAINS = (
    (r"act\.(alpha|beta)", 0.3),
    (r"resblocks.*weight_v", 0.7),
    (r"conv_pre", 0.3),
    (r"conv_post", 0.2),
)
FLOW_GAINS = ((r"wqkv", 1.5), (r"t_embedder.*weight", 1.2))
STOP_BIAS = -0.61  # Some of the code sequences end by themselves, some run into the limit.


def write(folder: Path, tokenizer: Path) -> None:
    """Writes checkpoints, the two prompts and the recipe of the values; copies the tokenizer."""
    torch.manual_seed(sizes.SEED)
    checkpoints = folder / "checkpoints"
    for name in ("w2v-bert-2.0", "semantic_codec", "campplus", "bigvgan"):
        (checkpoints / name).mkdir(parents=True, exist_ok=True)
    _prompts(folder)
    config = OmegaConf.create(sizes.CONFIG)
    # "None" is a word in the published file, not a null.
    OmegaConf.save(config, checkpoints / "config.yaml")
    _gpt(checkpoints, config)
    _s2mel(checkpoints, config)
    _encoders(checkpoints, config)
    _bigvgan(checkpoints)
    prototypes = sum(sizes.CONFIG["emo_num"])
    torch.save(5 * torch.randn(prototypes, sizes.STYLE), checkpoints / "feat1.pt")
    torch.save(0.5 * torch.randn(prototypes, config.gpt.model_dim), checkpoints / "feat2.pt")
    pieces = padded(tokenizer.read_bytes(), config.gpt.number_text_tokens)
    (checkpoints / "bpe.model").write_bytes(pieces)
    (folder / "recipe.json").write_text(json.dumps(sizes.RECIPE, indent=2) + "\n")


def _gpt(folder: Path, config: OmegaConf) -> None:
    gpt = ref.gpt_module(config, semantic=sizes.SEMANTIC, emotion=sizes.EMOTION_WIDTH)
    _randomise(gpt, GPT_GAINS)
    with torch.no_grad():
        gpt.mel_head.bias[config.gpt.stop_mel_token] += STOP_BIAS
    torch.save(_state(gpt), folder / "gpt.pth")


def _s2mel(folder: Path, config: OmegaConf) -> None:
    modules = ref.s2mel_modules(config)
    widths = (config.gpt.model_dim, *sizes.GPT_LAYER, sizes.SEMANTIC)
    modules["gpt_layer"] = nn.Sequential(*map(nn.Linear, widths, widths[1:]))
    for module in modules.values():
        _randomise(module, FLOW_GAINS)
    with torch.no_grad():
        for name, bias in modules["cfm"].named_parameters():
            if name.endswith("project_layer.bias"):
                bias[: len(bias) // 2] += 0.7  # The factor on the normalised stream.
    net = {name: _state(module) for name, module in modules.items()}
    # The published file holds the state of the training too.
    rest = {"optimizer": {"cfm": {"state": {}}}, "scheduler": {}, "iters": 7, "epoch": 3}
    torch.save({"net": net, **rest}, folder / "s2mel.pth")


def _encoders(folder: Path, config: OmegaConf) -> None:
    transformers.utils.logging.disable_progress_bar()
    settings = transformers.Wav2Vec2BertConfig(**sizes.W2V)
    w2v = transformers.Wav2Vec2BertModel(settings)
    _randomise(w2v, W2V_GAINS)
    path = folder / ref.FILES["w2v"]
    safetensors.torch.save_file(_state(w2v), path / "model.safetensors", {"format": "pt"})
    settings.architectures = ["Wav2Vec2BertModel"]
    written = settings.to_dict()
    del written["dtype"]  # Its name in files of the published form is `torch_dtype`.
    _json(path / "config.json", {**written, "torch_dtype": "float32"})
    _json(path / "preprocessor_config.json", sizes.EXTRACTOR)
    torch.save(_statistics(folder), folder / config.w2v_stat)
    codec = RepCodec(cfg=config.semantic_codec)
    _randomise(codec, CODEC_GAINS)
    safetensors.torch.save_file(_state(codec), folder / ref.FILES["codec"])
    campplus = CAMPPlus(feat_dim=80, embedding_size=sizes.STYLE, **sizes.CAMPPLUS)
    _randomise(campplus, ((r"linear_local|linear\d?\.weight", 1.4),))
    torch.save(_state(campplus), folder / ref.FILES["campplus"])


@torch.no_grad()
def _statistics(folder: Path) -> dict[str, Tensor]:
    """Mean and variance near those of the speaker clip, so that the features vary in time."""
    path = folder / ref.FILES["w2v"]
    w2v = transformers.Wav2Vec2BertModel.from_pretrained(path).eval()
    extractor = transformers.SeamlessM4TFeatureExtractor.from_pretrained(path)
    audio = ref.load_audio(folder.parent / "speaker.wav", 16000).numpy()
    features = extractor(audio, sampling_rate=16000, return_tensors="pt")
    hidden = w2v(**features, output_hidden_states=True).hidden_states[HIDDEN][0]
    mean, var = hidden.mean(0), hidden.var(0)
    return {"mean": mean + 0.2 * torch.randn_like(mean), "var": var * (0.6 + torch.rand_like(var))}


def _bigvgan(folder: Path) -> None:
    _json(folder / ref.FILES["bigvgan_config"], sizes.BIGVGAN)
    bigvgan = ref.bigvgan_module(folder)
    _randomise(bigvgan, VOCODER_GAINS)
    torch.save({"generator": _state(bigvgan)}, folder / ref.FILES["bigvgan"])


@torch.no_grad()
def _randomise(module: nn.Module, gains: Gains) -> None:
    """Fills parameters and statistics with random numbers that keep activations in range."""
    parameters = dict(module.named_parameters())
    transposed = {
        f"{name}.weight"
        for name, part in module.named_modules()
        if isinstance(part, transformers.pytorch_utils.Conv1D)
    }
    tables = {
        f"{name}.weight" for name, part in module.named_modules() if isinstance(part, nn.Embedding)
    }
    for name, value in parameters.items():
        gain = next((gain for pattern, gain in gains if re.search(pattern, name)), 1.0)
        noise = gain * torch.randn_like(value)
        if name.endswith("weight_g"):
            continue  # After its direction.
        if name.endswith("gamma") and "convnext" in name:
            value.copy_(0.5 + 0.2 * noise)
        elif name.endswith((".alpha", ".beta")) or name in tables or value.ndim == 0:
            value.copy_(noise)
        elif name.endswith("bias"):
            value.copy_(0.15 * noise)
        elif value.ndim == 1:
            value.copy_(1 + 0.2 * noise)
        else:
            fan = value.shape[0] if name in transposed else value[0].numel()
            value.copy_(noise / math.sqrt(fan))
    for name, value in parameters.items():
        if name.endswith("weight_g"):
            direction = parameters[name[:-1] + "v"].flatten(1)
            length = direction.norm(dim=1).reshape(value.shape)
            value.copy_(length * (1 + 0.2 * torch.rand_like(value)))
    for name, value in module.named_buffers():
        if name.endswith("running_mean"):
            value.copy_(0.2 * torch.randn_like(value))
        elif name.endswith("running_var"):
            value.copy_(0.5 + torch.rand_like(value))


def _state(module: nn.Module) -> OrderedDict[str, Tensor]:
    """A copy of the state, each tensor with a storage of its own."""
    state = module.state_dict()
    return OrderedDict((name, value.detach().clone()) for name, value in state.items())


def _json(path: Path, settings: dict) -> None:
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def _prompts(folder: Path) -> None:
    """Synthesised speech: 48 kHz stereo, even in 16 kHz frames; 8 kHz mono, odd and very short."""
    speech = _speak("Seven ships sail at dawn.", "en+f3", 48000)[: 48000 * 12 // 10]
    late = np.concatenate([np.zeros(37, speech.dtype), speech[:-37]])
    soundfile.write(folder / "speaker.wav", np.stack([0.8 * speech, 0.5 * late], 1), 48000)
    soundfile.write(folder / "emotion.wav", _speak("Oh, splendid!", "en+m4", 8000)[:5500], 8000)


def _speak(text: str, voice: str, rate: int) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-w", path, text], check=True)
        audio, source = soundfile.read(path, dtype="float32")
    audio = audio[np.argmax(np.abs(audio) > 0.01) :]
    return librosa.resample(audio, orig_sr=source, target_sr=rate)
