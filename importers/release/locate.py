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
class Layout:
    """Where the files of a version are: in its repository, and models of other repositories."""

    name: str
    repository: str
    fixed: Mapping[str, str]  # files whose names no configuration gives
    auxiliary: tuple[str, ...]  # keys of `AUXILIARY`


RANKS = "multilingual_zh_ja_yue_char_del.tiktoken"
LAYOUTS = {
    "2.0": Layout("IndexTTS-2", MAIN, {}, tuple(AUXILIARY)),
    "2.5": Layout(
        "IndexTTS-2.5",
        "IndexTeam/IndexTTS-2.5",
        {"tokenizer": RANKS, "semantic_codec": "codec.pth"},
        tuple(key for key in AUXILIARY if key != "semantic_codec"),
    ),
}
TOKENIZERS_OF_2_0 = ("bpe.model", "pinyin.vocab")
# Names in every repository so far, by role; a configuration may have those of another machine.
STANDARD = {
    "gpt": "gpt.pth",
    "s2mel": "s2mel.pth",
    "w2v_stat": "wav2vec2bert_stats.pt",
    "spk_matrix": "feat1.pt",
    "emo_matrix": "feat2.pt",
}


@dataclasses.dataclass(frozen=True)
class Located:
    """Every file of a published model, by role."""

    src: Path
    files: Mapping[str, Path]
    renamed: tuple[str, ...] = ()  # notes on files found under their standard names

    @property
    def notes(self) -> list[str]:
        """What a reader should know about where files were found."""
        notes = list(self.renamed)
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


def locate(
    src: Path,
    published: "Published",
    flags: Mapping[str, str | Path | None],
    version: str = "2.0",
) -> Located:
    """Every published file; `flags` gives the paths of auxiliary models in other places.

    Raises:
        SourceError: with every file that is missing or found twice.
    """
    layout = LAYOUTS[version]
    search = _Search(src, layout)
    tokenizer = {} if "tokenizer" in layout.fixed else {"tokenizer": published.dataset.bpe_model}
    named = {
        **tokenizer,
        "gpt": published.gpt_checkpoint,
        "s2mel": published.s2mel_checkpoint,
        "w2v_stat": published.w2v_stat,
        "spk_matrix": published.spk_matrix,
        "emo_matrix": published.emo_matrix,
    }
    for key, name in named.items():
        search.main(key, name)
    for key, name in layout.fixed.items():
        search.main(key, name)
    search.auxiliaries(flags)
    if search.problems:
        raise search.error()
    if "tokenizer" in layout.fixed:
        search.notes += [
            f"{name}: not read: the tokenizer of {layout.name} is {layout.fixed['tokenizer']}"
            for name in TOKENIZERS_OF_2_0
            if (src / name).is_file()
        ]
    files = {"config": src / "config.yaml", **search.found}
    return Located(src, files, tuple(search.notes))


def candidates_of_main(src: Path, key: str, name: str) -> list[Path]:
    """Every path where a file of the main repository may be, the named one first.

    The configuration of a version may name files of the machine that trained the model: an absolute
    path is looked for by its standard name, then by its last part.
    """
    standard = STANDARD.get(key)
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()
    last = PureWindowsPath(name).name
    names = [standard, last] if absolute else [name, standard]
    return [src / one for one in dict.fromkeys(names) if one]


def download_command(src: Path, repository: str = MAIN) -> str:
    """The command that downloads the published files."""
    version = next(v for v, layout in LAYOUTS.items() if layout.repository == repository)
    which = () if repository == MAIN else ("--version", version)
    return shlex.join(("python", "-m", "indextts_jax.download", *which, "--dst", str(src)))


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

    def __init__(self, src: Path, layout: Layout = LAYOUTS["2.0"]):
        self.src, self.layout = src, layout
        self.found: dict[str, Path] = {}
        self.problems: list[str] = []
        self.notes: list[str] = []
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
            command = download_command(self.src, self.layout.repository)
            message += f"download the published files with: {command}"
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
        """A file of the main repository, named by `config.yaml`, or by its standard name."""
        absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()
        if not name or (not absolute and ".." in PureWindowsPath(name).parts):
            self.problems.append(f"config.yaml: {name!r} is outside the directory")
            return
        for place in candidates_of_main(self.src, key, name):
            if self.one(key, spellings(place)):
                found = self.found.get(key, place)
                if found.stem != PureWindowsPath(name).stem:
                    self.notes.append(f"config.yaml names {name} ({key}): {found.name} is read")
                return
        shown = STANDARD.get(key, name) if absolute else name
        self.missing(f"missing: {shown} (from {self.layout.repository})")

    def auxiliaries(self, flags: Mapping[str, str | Path | None]) -> None:
        """Locates every auxiliary model."""
        for key in self.layout.auxiliary:
            self.auxiliary(key, AUXILIARY[key], flags.get(AUXILIARY[key].flag))

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
