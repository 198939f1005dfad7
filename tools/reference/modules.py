"""The PyTorch reference's modules, one by one, filled from a directory of published files.

Only public classes and methods of the installed packages are called. Some sizes are hard-coded in
the reference (semantic width, width of the emotion perceiver, `gpt_layer`, CAMPPlus): they are read
from the files, and the module is rebuilt with them.
"""

import gc
import warnings
import zipfile
from collections.abc import Callable, Mapping
from functools import cached_property
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

from importers.release.locate import locate, locate_config
from indextts_jax.errors import InputError

CLIP_SECONDS = 15
FILES = {
    "w2v": "w2v-bert-2.0",
    "codec": "semantic_codec/model.safetensors",
    "campplus": "campplus/campplus_cn_common.bin",
    "bigvgan": "bigvgan/bigvgan_generator.pt",
    "bigvgan_config": "bigvgan/config.json",
}
"""Paths of the auxiliary models in a small set."""


class Files:
    """Paths of the published files in a directory: in the published layout, or a small set's.

    Raises:
        InputError: with every file that is missing, and the command that fetches it.
    """

    def __init__(self, folder: Path, flags: Mapping[str, str | None] | None = None):
        self.folder = folder
        path = locate_config(folder, flags or {})
        self.config: DictConfig = OmegaConf.load(path)
        self.paths = {"config": path, **locate(folder, self.config, flags or {}).files}
        if "w2v_bert_features" not in self.paths:
            missing = self.paths["w2v_bert"].parent / "preprocessor_config.json"
            raise InputError(f"{missing} is missing; it is published beside model.safetensors")

    def __getitem__(self, name: str) -> Path:
        return self.paths[name]

    def label(self, name: str) -> str:
        """The name of a file in records: the same that the import gives it."""
        path = self.paths[name]
        inside = path.is_relative_to(self.folder)
        return path.relative_to(self.folder).as_posix() if inside else str(path)


class Reference:
    """All modules of one model set, in float32, ready to run; each is loaded when it is first used.

    Every file is loaded strictly.
    """

    def __init__(self, files: Files, device: str = "cpu"):
        transformers.utils.logging.disable_progress_bar()
        warnings.filterwarnings("ignore")
        self.files, self.device = files, device
        self.config = files.config

    def free(self, *names: str) -> None:
        """Forgets modules; what is used again is loaded again."""
        for name in names:
            self.__dict__.pop(name, None)
        gc.collect()

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """The text tokenizer."""
        return TextTokenizer(str(self.files["tokenizer"]))

    @cached_property
    def extractor(self) -> Any:
        """The features of the semantic encoder."""
        folder = self.files["w2v_bert"].parent
        return transformers.SeamlessM4TFeatureExtractor.from_pretrained(folder)

    @cached_property
    def w2v(self) -> nn.Module:
        """The semantic encoder."""
        folder = self.files["w2v_bert"].parent
        return self._ready(transformers.Wav2Vec2BertModel.from_pretrained(folder).float())

    @cached_property
    def statistics(self) -> dict[str, Tensor]:
        """Mean and variance of the semantic features."""
        return {k: v.to(self.device) for k, v in _torch(self.files["w2v_stat"]).items()}

    @property
    def mean(self) -> Tensor:
        """Mean of the semantic features."""
        return self.statistics["mean"]

    @property
    def var(self) -> Tensor:
        """Variance of the semantic features."""
        return self.statistics["var"]

    @cached_property
    def codec(self) -> nn.Module:
        """The semantic codec."""
        codec = RepCodec(cfg=self.config.semantic_codec)
        path = self.files["semantic_codec"]
        _fill(codec, _read(safetensors.torch.load_file, path), path)
        return self._ready(codec)

    @cached_property
    def campplus(self) -> nn.Module:
        """The style encoder."""
        weights = _torch(self.files["campplus"])
        campplus = campplus_module(weights)
        _fill(campplus, weights, self.files["campplus"])
        return self._ready(campplus)

    @cached_property
    def gpt(self) -> UnifiedVoice:
        """The autoregressive model with its conditioning."""
        weights = _torch(self.files["gpt"])
        weights = weights.get("model", weights)
        gpt = gpt_module(
            self.config,
            semantic=self.statistics["mean"].shape[0],
            emotion=weights["emo_perceiver_encoder.latents"].shape[1],
        )
        _fill(gpt, weights, self.files["gpt"])
        gpt = self._ready(gpt)
        gpt.post_init_gpt2_config(use_deepspeed=False, kv_cache=True, half=False)
        return self._ready(gpt)

    @property
    def cfm(self) -> nn.Module:
        """The flow."""
        return self._s2mel["cfm"]

    @property
    def regulator(self) -> nn.Module:
        """The length regulator."""
        return self._s2mel["length_regulator"]

    @property
    def gpt_layer(self) -> nn.Module:
        """The projection of the latents."""
        return self._s2mel["gpt_layer"]

    @cached_property
    def _s2mel(self) -> dict[str, nn.Module]:
        net = _torch(self.files["s2mel"])["net"]
        modules = s2mel_modules(self.config)
        layers = range(len([name for name in net["gpt_layer"] if name.endswith("weight")]))
        modules["gpt_layer"] = gpt_layer([net["gpt_layer"][f"{i}.weight"] for i in layers])
        for name, module in modules.items():
            _fill(module, net[name], self.files["s2mel"])
            self._ready(module)
        with torch.device(self.device):
            modules["cfm"].estimator.setup_caches(max_batch_size=1, max_seq_length=8192)
        return modules

    @cached_property
    def bigvgan(self) -> nn.Module:
        """The vocoder."""
        bigvgan = _bigvgan(self.files["bigvgan_config"])
        weights = _torch(self.files["bigvgan"])
        _fill(bigvgan, weights.get("generator", weights), self.files["bigvgan"])
        bigvgan.remove_weight_norm()
        return self._ready(bigvgan)

    @cached_property
    def speaker_matrix(self) -> list[Tensor]:
        """The style vectors of the prototypes, by emotion."""
        return self._groups("spk_matrix")

    @cached_property
    def emotion_matrix(self) -> list[Tensor]:
        """The emotion vectors of the prototypes, by emotion."""
        return self._groups("emo_matrix")

    def _groups(self, name: str) -> list[Tensor]:
        matrix = _torch(self.files[name]).to(self.device)
        return list(matrix.split(list(self.config.emo_num)))

    def _ready(self, module: nn.Module) -> Any:
        return module.eval().requires_grad_(False).to(self.device)


MODULES = ("w2v", "codec", "campplus", "gpt", "_s2mel", "bigvgan")
"""What `Reference.free` can free."""


def load(folder: Path, device: str = "cpu") -> Reference:
    """The modules of the model set in `folder`."""
    return Reference(Files(folder), device)


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
    """The vocoder of the sizes in the `config.json` of a small set."""
    return _bigvgan(folder / FILES["bigvgan_config"])


def _bigvgan(config: Path) -> BigVGAN:
    return BigVGAN(load_hparams_from_json(str(config)))


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
    mapped = zipfile.is_zipfile(path)  # what is not used, the training state say, is not read then
    return _read(torch.load, path, map_location="cpu", weights_only=False, mmap=mapped)


def _read(load: Callable[..., Any], path: Path, **options: Any) -> Any:
    try:
        return load(path, **options)
    except Exception as error:  # whatever pickles and safetensors raise
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be read: {type(error).__name__}: {reason}") from error


def _fill(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path} does not fit the model of config.yaml: {reason}") from error
