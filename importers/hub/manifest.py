"""Every published file: where it is published, where it belongs, and what is known about it.

Sizes and hashes are stated only where they are known: `size` and `sha256` were taken from the
files themselves (the size of the Qwen weights follows from its arrays and its header), and a file
that differs is refused. `about` comes from listings, is rounded, and only shows a user
what to expect.
"""

import dataclasses
from pathlib import Path, PurePosixPath

from importers.release.locate import AUXILIARY, LAYOUTS, MAIN, RANKS, Auxiliary

REVISION = "main"
TEXT_EMOTION = "text_emotion"  # emotion from text: the one optional part
OPTIONAL = (TEXT_EMOTION,)
_QWEN = "qwen0.6bemo4-merge"


@dataclasses.dataclass(frozen=True)
class Repository:
    """Who publishes files, and the licence, as commonly stated."""

    name: str
    licence: str
    note: str = ""  # what restricts the use


REPOSITORIES = (
    Repository(
        MAIN,
        "bilibili Model Use License",
        "(large companies need their own; some uses are forbidden)",
    ),
    Repository(
        LAYOUTS["2.5"].repository,
        "bilibili Model Use License",
        "(large companies need their own; some uses are forbidden)",
    ),
    Repository("facebook/w2v-bert-2.0", "MIT"),
    Repository("amphion/MaskGCT", "CC-BY-NC-4.0", "NON-COMMERCIAL (the semantic codec)"),
    Repository("funasr/campplus", "Apache-2.0"),
    Repository("nvidia/bigvgan_v2_22khz_80band_256x", "MIT"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class File:
    """One published file."""

    repository: str
    name: str  # its path in the repository
    path: str  # where it belongs, relative to the directory of published files
    size: int | None = None  # bytes
    sha256: str | None = None
    about: int | None = None  # bytes, rounded
    part: str | None = None  # the optional part that it belongs to
    beside: str | None = None  # the path of the file in whose directory the importer looks for it
    auxiliary: Auxiliary | None = None  # key of the other places where these weights may be found

    @property
    def expected(self) -> int | None:
        """Expected size in bytes, possibly rounded."""
        return self.about if self.size is None else self.size


def _main(
    name: str,
    *,
    size: int | None = None,
    sha256: str | None = None,
    about: int | None = None,
    version: str = "2.0",
) -> File:
    repository = LAYOUTS[version].repository
    return File(repository=repository, name=name, path=name, size=size, sha256=sha256, about=about)


def _qwen(
    name: str, *, size: int | None = None, about: int | None = None, version: str = "2.0"
) -> File:
    file = _main(f"{_QWEN}/{name}", size=size, about=about, version=version)
    return dataclasses.replace(file, part=TEXT_EMOTION)


def _weights(key: str, *, about: int | None = None) -> File:
    auxiliary = AUXILIARY[key]
    return File(
        repository=auxiliary.repository,
        name=auxiliary.weights,
        path=auxiliary.places[0],
        about=about,
        auxiliary=auxiliary,
    )


def _beside(key: str, name: str, *, about: int | None = None) -> File:
    weights = _weights(key)
    return File(
        repository=weights.repository,
        name=name,
        path=str(PurePosixPath(weights.path).with_name(name)),
        about=about,
        beside=weights.path,
    )


FILES = (
    _main("config.yaml"),
    _main(
        "bpe.model",
        size=475_997,
        sha256="b2a5ce8090d32da3642cc4f81fdc996376bc6dd3f4cd5e3d165f71120d9f2bc8",
    ),
    _main("gpt.pth", about=3_480_000_000),
    _main("s2mel.pth", about=1_200_000_000),
    _main(
        "wav2vec2bert_stats.pt",
        size=9_343,
        sha256="c9c176c2b8850ab2e3ba828bbfa969deaf4566ce55db5f2687b8430b87526ad2",
    ),
    _main(
        "feat1.pt",
        size=57_170,
        sha256="f219cb447d80216ba615666da2ff8d63ac544eee26657f3a7b278692bf7a67c4",
    ),
    _main(
        "feat2.pt",
        size=374_866,
        sha256="9c4292e96dee535aea9a6206e9a0c856dd578dde9212acdb16dd3ada4d12bf80",
    ),
    _weights("w2v_bert", about=2_320_000_000),
    _beside("w2v_bert", "config.json", about=1_870),
    _beside("w2v_bert", "preprocessor_config.json", about=230),
    _weights("semantic_codec", about=177_000_000),
    _weights("campplus", about=28_000_000),
    _weights("bigvgan", about=449_000_000),
    _beside("bigvgan", "config.json"),
    _qwen("config.json", about=727),
    _qwen("generation_config.json", about=117),
    _qwen("model.safetensors", size=1_192_135_096),
    _qwen("tokenizer.json", about=11_400_000),
    _qwen("vocab.json", about=2_780_000),
    _qwen("merges.txt", about=1_670_000),
    _qwen("tokenizer_config.json", about=5_400),
    _qwen("added_tokens.json", about=707),
    _qwen("special_tokens_map.json", about=616),
    _qwen("chat_template.jinja", about=550),
)


_WEIGHTS = (  # of other repositories, the same for both versions
    *(
        file
        for file in FILES
        if file.repository not in (MAIN, AUXILIARY["semantic_codec"].repository)
    ),
)
FILES_V25 = (
    _main("config.yaml", about=2_900, version="2.5"),
    _main(RANKS, about=907_000, version="2.5"),
    _main("gpt.pth", about=3_260_000_000, version="2.5"),
    _main("codec.pth", about=607_000_000, version="2.5"),
    _main("s2mel.pth", about=415_000_000, version="2.5"),
    _main("wav2vec2bert_stats.pt", about=9_000, version="2.5"),
    _main("feat1.pt", about=57_000, version="2.5"),
    _main("feat2.pt", about=375_000, version="2.5"),
    *_WEIGHTS,
    *(
        _qwen(PurePosixPath(file.name).name, about=file.expected, version="2.5")
        for file in FILES
        if file.part == TEXT_EMOTION
    ),
)
"""The files of version 2.5. All sizes are rounded: nobody has measured the files themselves."""


def files_of(version: str) -> tuple[File, ...]:
    """Every file of a version."""
    return {"2.0": FILES, "2.5": FILES_V25}[version]


def checkpoint_name(version: str) -> str:
    """What the checkpoint of a version is called in commands that are shown: `indextts2_5`."""
    return LAYOUTS[version].name.lower().replace("-", "").replace(".", "_")


def wanted(without: tuple[str, ...] = (), version: str = "2.0") -> tuple[File, ...]:
    """The files of the model without the parts that are left out."""
    return tuple(file for file in files_of(version) if file.part not in without)


def foreign(folder: Path, version: str) -> list[str]:
    """Files in a directory that only another version has: the importer refuses a mixture."""
    ours = {file.path for file in files_of(version)}
    return [
        file.path
        for other, layout in LAYOUTS.items()
        if other != version
        for file in files_of(other)
        if file.repository == layout.repository
        and file.path not in ours
        and (folder / file.path).is_file()
    ]


def notices(files: tuple[File, ...]) -> str:
    """What to show before a download: the owners of the files and their terms."""
    used = {file.repository for file in files}
    width = max(len(name) for name in used)
    lines = ["The files belong to others. By downloading them you accept these terms:"]
    for repository in REPOSITORIES:
        if repository.name in used:
            lines.append(f"  {repository.name.ljust(width)}  {repository.licence}")
            if repository.note:
                lines.append(f"  {' ' * width}  {repository.note}")
    lines += [
        "These are the licences as commonly stated; each repository's model card is authoritative.",
        "Use a voice only with the consent of the person it belongs to.",
    ]
    return "\n".join(lines)
