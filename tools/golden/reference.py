"""The PyTorch reference's modules, one by one, filled from a folder of published files.

Only public classes and methods of the installed packages are called here. Sizes that the reference
hard-codes (semantic width, width of the emotion perceiver, `gpt_layer`, CAMPPlus) are read off the
files, and the module in question is built anew with them.
"""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import librosa
import safetensors.torch
import torch
import torchaudio
import transformers
from indextts.gpt.conformer_encoder import ConformerEncoder
from indextts.gpt.model_v2 import UnifiedVoice
from indextts.gpt.perceiver import PerceiverResampler
from indextts.s2mel.modules.audio import mel_spectrogram
from indextts.s2mel.modules.bigvgan.bigvgan import BigVGAN, load_hparams_from_json
from indextts.s2mel.modules.campplus.DTDNN import CAMPPlus
from indextts.s2mel.modules.commons import MyModel, recursive_munch
from indextts.utils.front import TextTokenizer
from indextts.utils.maskgct.models.codec.kmeans.repcodec_model import RepCodec
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

CLIP_SECONDS = 15
FILES = {
    "w2v": "w2v-bert-2.0",
    "codec": "semantic_codec/model.safetensors",
    "campplus": "campplus/campplus_cn_common.bin",
    "bigvgan": "bigvgan/bigvgan_generator.pt",
    "bigvgan_config": "bigvgan/config.json",
}
"""Where the auxiliary models lie in a model set."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """All modules of one model set, in float32 on the CPU, ready to run."""

    config: DictConfig
    tokenizer: TextTokenizer
    extractor: Any
    w2v: nn.Module
    mean: Tensor
    var: Tensor
    codec: nn.Module
    campplus: nn.Module
    gpt: UnifiedVoice
    cfm: nn.Module
    regulator: nn.Module
    gpt_layer: nn.Module
    bigvgan: nn.Module
    speaker_matrix: list[Tensor]
    emotion_matrix: list[Tensor]


def load(folder: Path) -> Reference:
    """The modules of the model set in `folder`; every file is loaded strictly."""
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore")
    config = OmegaConf.load(folder / "config.yaml")
    stats = _torch(folder / config.w2v_stat)
    net = _torch(folder / config.s2mel_checkpoint)["net"]
    s2mel = s2mel_modules(config)
    s2mel["gpt_layer"] = gpt_layer([net["gpt_layer"][f"{i}.weight"] for i in range(3)])
    for name, module in s2mel.items():
        module.load_state_dict(net[name])
    s2mel["cfm"].estimator.setup_caches(max_batch_size=1, max_seq_length=8192)
    weights = _torch(folder / config.gpt_checkpoint)
    gpt = gpt_module(
        config,
        semantic=stats["mean"].shape[0],
        emotion=weights["emo_perceiver_encoder.latents"].shape[1],
    )
    gpt.load_state_dict(weights)
    gpt.eval()
    gpt.post_init_gpt2_config(use_deepspeed=False, kv_cache=True, half=False)
    codec = RepCodec(cfg=config.semantic_codec)
    codec.load_state_dict(safetensors.torch.load_file(folder / FILES["codec"]))
    weights = _torch(folder / FILES["campplus"])
    campplus = campplus_module(weights)
    campplus.load_state_dict(weights)
    bigvgan = bigvgan_module(folder)
    bigvgan.load_state_dict(_torch(folder / FILES["bigvgan"])["generator"])
    bigvgan.remove_weight_norm()
    numbers = list(config.emo_num)
    reference = Reference(
        config=config,
        tokenizer=TextTokenizer(str(folder / config.dataset.bpe_model)),
        extractor=transformers.SeamlessM4TFeatureExtractor.from_pretrained(folder / FILES["w2v"]),
        w2v=transformers.Wav2Vec2BertModel.from_pretrained(folder / FILES["w2v"]),
        mean=stats["mean"],
        var=stats["var"],
        codec=codec,
        campplus=campplus,
        gpt=gpt,
        cfm=s2mel["cfm"],
        regulator=s2mel["length_regulator"],
        gpt_layer=s2mel["gpt_layer"],
        bigvgan=bigvgan,
        speaker_matrix=list(_torch(folder / config.spk_matrix).split(numbers)),
        emotion_matrix=list(_torch(folder / config.emo_matrix).split(numbers)),
    )
    for field in dataclasses.fields(reference):
        module = getattr(reference, field.name)
        if isinstance(module, nn.Module):
            module.eval().requires_grad_(False)
    return reference


def gpt_module(config: DictConfig, *, semantic: int, emotion: int) -> UnifiedVoice:
    """The autoregressive model for features of width `semantic`, with an emotion perceiver of width
    `emotion` (the reference hard-codes 1024 for both).
    """
    gpt = UnifiedVoice(**config.gpt)
    part = {"conditioning_encoder": "condition_module"}
    part["emo_conditioning_encoder"] = "emo_condition_module"
    for attribute, key in part.items():
        settings = {k: v for k, v in config.gpt[key].items() if k != "perceiver_mult"}
        setattr(gpt, attribute, ConformerEncoder(input_size=semantic, **settings))
    settings = config.gpt.emo_condition_module
    gpt.emo_perceiver_encoder = PerceiverResampler(
        emotion,
        dim_context=settings.output_size,
        ff_mult=settings.perceiver_mult,
        heads=settings.attention_heads,
        num_latents=1,
    )
    gpt.emovec_layer = nn.Linear(emotion, config.gpt.model_dim)
    return gpt


def s2mel_modules(config: DictConfig) -> dict[str, nn.Module]:
    """The modules under `net` of the acoustic file; `gpt_layer` has the hard-coded widths."""
    settings = OmegaConf.to_container(config.s2mel)
    return dict(MyModel(recursive_munch(settings), use_gpt_latent=True).models.items())


def gpt_layer(weights: list[Tensor]) -> nn.Sequential:
    """Linear layers one after the other, as wide as their weights."""
    return nn.Sequential(*(nn.Linear(w.shape[1], w.shape[0]) for w in weights))


def campplus_module(weights: dict[str, Tensor]) -> CAMPPlus:
    """The style encoder of the sizes that its file has."""
    local = weights["xvector.block1.tdnnd1.cam_layer.linear_local.weight"]
    return CAMPPlus(
        feat_dim=80,
        embedding_size=weights["xvector.dense.linear.weight"].shape[0],
        growth_rate=local.shape[0],
        bn_size=local.shape[1] // local.shape[0],
        init_channels=weights["xvector.tdnn.linear.weight"].shape[0],
    )


def bigvgan_module(folder: Path) -> BigVGAN:
    """The vocoder of the sizes in its own `config.json`."""
    return BigVGAN(load_hparams_from_json(str(folder / FILES["bigvgan_config"])))


def load_audio(path: Path, rate: int | None = None) -> Tensor:
    """Mono audio at most 15 s long, at librosa's default rate unless another is given."""
    audio, rate = librosa.load(str(path)) if rate is None else librosa.load(str(path), sr=rate)
    return torch.tensor(audio).unsqueeze(0)[:, : int(CLIP_SECONDS * rate)]


def resample(audio: Tensor, source: int, target: int) -> Tensor:
    """The audio at the target rate, by torchaudio's default filter."""
    return torchaudio.transforms.Resample(source, target)(audio)


def mel(reference: Reference, audio: Tensor) -> Tensor:
    """Log-mel frames of 22.05 kHz audio by the settings of `preprocess_params`."""
    settings = reference.config.s2mel.preprocess_params
    spectrum = settings.spect_params
    return mel_spectrogram(
        audio.float(),
        n_fft=spectrum.n_fft,
        num_mels=spectrum.n_mels,
        sampling_rate=settings.sr,
        hop_size=spectrum.hop_length,
        win_size=spectrum.win_length,
        fmin=spectrum.get("fmin", 0),
        fmax=None if spectrum.get("fmax", "None") == "None" else 8000,
        center=False,
    )


def _torch(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=False)
