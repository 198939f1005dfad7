"""Where people have the published files: hub caches, ModelScope, ComfyUI, one directory beside."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from importers.formats.mapped import SourceError

CONFIG, GPT = "config.yaml", "gpt.pth"
NAMES = (
    *("IndexTTS-2", "IndexTTS2", "indextts2", "index-tts2", "checkpoints"),
    *("IndexTTS-2.5", "IndexTTS2.5", "indextts2.5", "indextts2_5", "IndexTTS-2___5"),
)
REPOSITORIES = ("models--IndexTeam--IndexTTS-2", "models--IndexTeam--IndexTTS-2.5")
OWNERS = ("IndexTeam", "IndexTeam/models")
DEEP = 3  # directories above the source, up to a cache of a hub


class Root(NamedTuple):
    """The directory that holds `config.yaml`, and a note if it is not the one that was named."""

    path: Path
    note: str | None = None


def root_of(src: Path) -> Root:
    """The published directory at or below `src`.

    Raises:
        SourceError: if there are several.
    """
    if (src / CONFIG).is_file() or not src.is_dir():
        return Root(src)
    places: list[Path] = []
    for cache in (src, src / "hub", src / "huggingface" / "hub", src / "hf_cache"):
        for repository in REPOSITORIES:
            places += snapshots(cache / repository)
    places += snapshots(src)
    for base in (src, src / "models", src / "hub", src / "hub" / "models", src / "TTS"):
        base_models = (base, base / "TTS")
        places += [place / name for place in base_models for name in NAMES]
        places += [base / "IndexTeam" / name for name in NAMES]
    found = {place.resolve(): place for place in reversed(places) if (place / CONFIG).is_file()}
    if len(found) > 1:
        listed = ", ".join(str(place) for place in reversed(found.values()))
        raise SourceError(f"{src} holds the model more than once ({listed}): name one with --src")
    if not found:
        return Root(src)
    (path,) = found.values()
    return Root(path, f"the published files are in {path}")


def snapshots(repository: Path) -> list[Path]:
    """Snapshots in a hub's cache of a repository: the commit of `refs/main`, else all."""
    reference = repository / "refs" / "main"
    if reference.is_file():
        commit = reference.read_text(encoding="utf-8", errors="replace").strip()
        if commit and "/" not in commit and ".." not in commit:
            chosen = repository / "snapshots" / commit
            if chosen.is_dir():
                return [chosen]
    return sorted(path for path in repository.glob("snapshots/*") if path.is_dir())


def other_snapshots(path: Path) -> str | None:
    """A note, if a file is in one of several snapshots of a cache."""
    for folder in path.parents:
        if folder.parent.name == "snapshots":
            others = sorted(p.name[:12] for p in folder.parent.iterdir() if p != folder)
            if others:
                return f"{folder.name[:12]} is used, of several snapshots: not {', '.join(others)}"
    return None


def around(src: Path, repository: str, weights: str) -> Iterator[list[Path]]:
    """Places of another repository's weights outside the source directory, nearest first."""
    name = PurePosixPath(repository).name
    names = [name, name.replace(".", "___"), *_SHORT.get(repository, ())]
    base = src.absolute()
    yield [base / other / weights for other in names]
    for above in list(base.parents)[: DEEP + 1]:
        folders: list[Path] = []
        for other in names:
            folders += [above / other, *_owned(above, other)]
        folders += snapshots(above / f"models--{repository.replace('/', '--')}")
        yield [folder / weights for folder in folders]


_SHORT = {
    "amphion/MaskGCT": ("maskgct",),
    "nvidia/bigvgan_v2_22khz_80band_256x": ("bigvgan",),
    "facebook/w2v-bert-2.0": ("w2v_bert", "w2v-bert"),
    "funasr/campplus": ("CAMPPlus",),
}
_OWNERS = ("facebook", "amphion", "funasr", "nvidia", "nv-community", "AI-ModelScope", "iic")


def _owned(above: Path, name: str) -> Sequence[Path]:
    return [above / owner / name for owner in _OWNERS]
