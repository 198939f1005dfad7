"""Locates the published files below a directory; names what is missing and how to download it."""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from importers.formats.mapped import SourceError
from importers.release.layouts import around, other_snapshots, snapshots
from indextts_jax.errors import gathered

if TYPE_CHECKING:  # tools/dump_reference.py runs this file where our dependencies are missing
    from importers.release.settings import Published

MAIN = "IndexTeam/IndexTTS-2"
FEATURES = "w2v_bert_features"  # optional settings of the features


@dataclasses.dataclass(frozen=True)
class Auxiliary:
    """A model from another repository: its files, and where they may be found."""

    flag: str
    repository: str
    weights: str  # the path in the repository
    beside: tuple[str, ...]  # settings needed in the same directory
    places: tuple[str, ...]  # of the weights, below the source; the published one first

    @property
    def cached(self) -> str:
        """The directory of the old hub cache."""
        return f"hf_cache/models--{self.repository.replace('/', '--')}"


AUXILIARY: dict[str, Auxiliary] = {
    "w2v_bert": Auxiliary(
        "w2v_bert",
        "facebook/w2v-bert-2.0",
        "model.safetensors",
        ("config.json",),
        ("hf_cache/w2v-bert-2.0/model.safetensors", "w2v-bert-2.0/model.safetensors"),
    ),
    "semantic_codec": Auxiliary(
        "semantic_codec",
        "amphion/MaskGCT",
        "semantic_codec/model.safetensors",
        (),
        ("hf_cache/semantic_codec_model.safetensors", "semantic_codec/model.safetensors"),
    ),
    "campplus": Auxiliary(
        "campplus",
        "funasr/campplus",
        "campplus_cn_common.bin",
        (),
        ("hf_cache/campplus_cn_common.bin", "campplus/campplus_cn_common.bin"),
    ),
    "bigvgan": Auxiliary(
        "bigvgan",
        "nvidia/bigvgan_v2_22khz_80band_256x",
        "bigvgan_generator.pt",
        ("config.json",),
        ("hf_cache/bigvgan/bigvgan_generator.pt", "bigvgan/bigvgan_generator.pt"),
    ),
}


@dataclasses.dataclass(frozen=True)
class Located:
    """Every file of a published model, by role."""

    src: Path
    files: Mapping[str, Path]

    @property
    def notes(self) -> list[str]:
        """What a reader should know about where files were found."""
        notes = []
        for key, path in self.files.items():
            if not path.is_relative_to(self.src) and not key.endswith(("_config", "_features")):
                notes.append(f"{key} is read from {path}")
            if (other := other_snapshots(path)) is not None:
                notes.append(f"{self.name(key)}: {other}")
        return notes

    def name(self, file: str) -> str:
        """A file's name in messages and records: its path relative to the source directory."""
        path = self.files[file]
        return path.relative_to(self.src).as_posix() if path.is_relative_to(self.src) else str(path)


def locate_config(src: Path, flags: Mapping[str, str | Path | None]) -> Path:
    """The path of `config.yaml`.

    Raises:
        SourceError: if the directory or the file does not exist; lists missing auxiliary models
            too.
    """
    if not src.is_dir():
        if src.exists():
            raise SourceError(f"--src {src} is not a directory (of the published files)")
        raise SourceError(
            f"--src {src} does not exist; it should hold the published files; download them with: "
            f"{download_command(src)}"
        )
    if not (src / "config.yaml").is_file():
        search = _Search(src)
        search.missing(f"{src} has no config.yaml")
        search.auxiliaries(flags)
        raise search.error()
    return src / "config.yaml"


def locate(src: Path, published: "Published", flags: Mapping[str, str | Path | None]) -> Located:
    """Every published file; `flags` gives the paths of auxiliary models in other places.

    Raises:
        SourceError: with every file that is missing or found twice.
    """
    search = _Search(src)
    names = {
        "tokenizer": published.dataset.bpe_model,
        "gpt": published.gpt_checkpoint,
        "s2mel": published.s2mel_checkpoint,
        "w2v_stat": published.w2v_stat,
        "spk_matrix": published.spk_matrix,
        "emo_matrix": published.emo_matrix,
    }
    for key, name in names.items():
        search.main(key, name)
    search.auxiliaries(flags)
    if search.problems:
        raise search.error()
    return Located(src, {"config": src / "config.yaml", **search.found})


def download_command(src: Path) -> str:
    """The command that downloads the published files."""
    return shlex.join(("python", "-m", "indextts_jax.download", "--dst", str(src)))


def candidates(src: Path, auxiliary: Auxiliary) -> list[Path]:
    """Every path below a source directory where an auxiliary model's weights may be."""
    places = [src / place for place in auxiliary.places]
    places += [folder / auxiliary.weights for folder in _snapshots(src, auxiliary)]
    return [path for place in places for path in spellings(place)]


def spellings(path: Path) -> list[Path]:
    """The file, its `.safetensors` variant, and the index of one in several files."""
    single = path.with_suffix(".safetensors")
    index = path.with_suffix(".safetensors.index.json")
    return list(dict.fromkeys((path, single, index)))


def _snapshots(src: Path, auxiliary: Auxiliary) -> list[Path]:
    """Snapshots in the old hub cache: the commit of `refs/main`, else all."""
    return snapshots(src / auxiliary.cached)


class _Search:
    """Collects files that are found and problems."""

    def __init__(self, src: Path):
        self.src = src
        self.found: dict[str, Path] = {}
        self.problems: list[str] = []
        self.downloadable = False  # whether a download would fix some of them

    def missing(self, problem: str) -> None:
        """Notes a problem that a download would fix."""
        self.problems.append(problem)
        self.downloadable = True

    def error(self) -> SourceError:
        """An error with all problems, and the download command if files are missing."""
        message = gathered(f"finding the files of {self.src}", self.problems)
        if self.downloadable:
            message += "\n  " if len(self.problems) > 1 else "; "
            message += f"download the published files with: {download_command(self.src)}"
        return SourceError(message)

    def one(self, key: str, candidates: Sequence[Path], flag: str | None = None) -> bool:
        """Records the one candidate that exists; false if there is none."""
        # Two names of one file (a link) count once.
        held = {path.resolve(): path for path in reversed(candidates) if path.is_file()}
        if len(held) > 1:
            places = " and ".join(str(path) for path in reversed(held.values()))
            way = f", or name it with --{flag}" if flag else ""
            self.problems.append(f"found twice: {places}; remove one{way}")
        elif held:
            (self.found[key],) = held.values()
        return bool(held)

    def main(self, key: str, name: str) -> None:
        """A file of the main repository, named by `config.yaml`."""
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute():
            name = PureWindowsPath(name).name  # a path on the machine that trained the model
        if ".." in PureWindowsPath(name).parts or not name:
            self.problems.append(f"config.yaml: {name!r} is outside the directory")
        elif not self.one(key, spellings(self.src / name)):
            self.missing(f"missing: {name} (from {MAIN})")

    def auxiliaries(self, flags: Mapping[str, str | Path | None]) -> None:
        """Locates every auxiliary model."""
        for key, auxiliary in AUXILIARY.items():
            self.auxiliary(key, auxiliary, flags.get(auxiliary.flag))

    def auxiliary(self, key: str, auxiliary: Auxiliary, flag: str | Path | None) -> None:
        """An auxiliary model, in one of its places or where the flag says."""
        if flag:
            self._flagged(key, auxiliary, Path(flag))
        elif not self.one(key, candidates(self.src, auxiliary), auxiliary.flag) and not self.near(
            key, auxiliary
        ):
            self.missing(
                f"missing: {auxiliary.places[0]} ({auxiliary.weights} of {auxiliary.repository}; "
                f"if it is elsewhere, give its path with --{auxiliary.flag})"
            )
        if key not in self.found:
            return
        features = self.found[key].parent / "preprocessor_config.json"
        if key == "w2v_bert" and features.is_file():
            self.found[FEATURES] = features
        for name in auxiliary.beside:
            path = self.found[key].parent / name
            if path.is_file():
                self.found[f"{key}_config"] = path
            else:
                problem = f"missing: {path} ({name} of {auxiliary.repository})"
                self.problems.append(problem) if flag else self.missing(problem)

    def near(self, key: str, auxiliary: Auxiliary) -> bool:
        """Looks for an auxiliary model outside the source directory, nearest first."""
        for places in around(self.src, auxiliary.repository, auxiliary.weights):
            deep = len(PurePosixPath(auxiliary.weights).parts)
            name = PurePosixPath(auxiliary.weights).name
            names = [*places, *(place.parents[deep - 1] / name for place in places)]
            spelled = [path for name in dict.fromkeys(names) for path in spellings(name)]
            if self.one(key, spelled, auxiliary.flag):
                return True
        return False

    def _flagged(self, key: str, auxiliary: Auxiliary, path: Path) -> None:
        name = PurePosixPath(auxiliary.weights).name
        places = (path / name, path / auxiliary.weights) if path.is_dir() else ()
        candidates = [spelled for place in places for spelled in spellings(place)] or [path]
        if not self.one(key, candidates, auxiliary.flag):
            self.problems.append(
                f"missing: --{auxiliary.flag} {path}: no such file, and no directory with {name}"
            )
