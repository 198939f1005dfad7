"""The published directory of a model: with or without the user's own files as base.

With a base, a file whose arrays are unchanged is copied; in a changed file, arrays that we do not
hold (a training head, unused layers) are taken from the base. Without a base they are zeros.
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from importers.export import settings
from importers.export.blanks import BLANKS, unknown
from importers.export.folder import (
    Place,
    copy_file,
    rewrite_tokens,
    write_arrays,
    write_shards,
)
from importers.export.heads import heads
from importers.export.padding import with_published_layers
from importers.export.source import Source
from importers.export.unapply import fills, made, unapply
from importers.formats.shards import Shards
from importers.formats.tensors import BARE, Tensors
from importers.release.files import CONTENTS, expected_of
from importers.release.locate import FEATURES, locate_config
from importers.release.settings import read_published
from importers.speech import Importer
from importers.table import Tensor, Tree
from importers.text_emotion import PREFIX, TextEmotionImporter, find_folder
from indextts_jax.config import ModelConfig
from indextts_jax.emotion.reader import COMPONENT as WORDS
from indextts_jax.errors import InputError, gathered
from indextts_jax.models.components import COMPONENTS, TRAINED
from indextts_jax.utils.hashing import hash_file
from indextts_jax.utils.strict_data import to_data

NOTICES = ("*LICENSE*", "*LICENCE*", "*NOTICE*", "*DISCLAIMER*")  # copied with the weights


@dataclasses.dataclass(frozen=True)
class FileReport:
    """The result for one file."""

    name: str
    arrays: int
    written: int  # arrays that are not the base's
    note: str = ""


def with_base(
    source: Source, base: Path, target: Path, flags: Mapping[str, str | Path | None]
) -> list[FileReport]:
    """Writes the published directory; arrays that we do not hold come from the files below `base`.

    Raises:
        InputError: for a base that cannot be imported, or has other sizes.
    """
    ignored = source.ignored
    importer = Importer.open(
        base,
        dtype=source.dtype,
        ignore=[name for name in ignored if not name.startswith(PREFIX)],
        flags=flags,
    )
    _check_sizes(source.config, importer.config, base)
    place, reports = Place(importer.located, target), []
    grown = source.config.gpt.text_vocabulary != importer.config.gpt.text_vocabulary
    for file in importer.files:
        reports.append(_from_base(source, importer, file, place, grown))
    for name in ("w2v_bert_config", "bigvgan_config", FEATURES):
        if name in importer.located.files:
            copy_file(importer.located.files[name], place.of(name))
    place.of("tokenizer").write_bytes(source.tokenizer)
    config = importer.located.files["config"]
    if grown:
        text = rewrite_tokens(config.read_text("utf-8"), source.config.gpt.text_vocabulary - 1)
        place.of("config").write_text(text, encoding="utf-8")
    else:
        copy_file(config, place.of("config"))
    for notice in (path for pattern in NOTICES for path in base.glob(pattern) if path.is_file()):
        copy_file(notice, target / notice.name)
    reports += _words(source, base, target, flags)
    return reports + _unpublished(source)


def _check_sizes(ours: ModelConfig, theirs: ModelConfig, base: Path) -> None:
    """Rejects a base of another model; the number of text tokens may differ."""
    same = dataclasses.replace(theirs.gpt, text_vocabulary=ours.gpt.text_vocabulary)
    sections = {name: getattr(theirs, name) for name in ("mel", *COMPONENTS)} | {"gpt": same}
    problems = []
    for name, section in sections.items():
        held, wanted = to_data(section), to_data(getattr(ours, name))
        problems += [
            f"{name}.{key} is {wanted[key]}, but {held[key]} in the base"
            for key in held
            if held[key] != wanted[key]
        ]
    if problems:
        raise InputError(gathered(f"exporting with the base {base}", problems))


def _from_base(
    source: Source, importer: Importer, file: str, place: Place, grown: bool
) -> FileReport:
    """One file: copied if nothing in it changed, otherwise rewritten in the same format."""
    tensors, plan = importer.tensors[file], importer.plans[file]
    held = [name for name in importer.files[file].components if name in source.components]
    owned = [fill for fill in plan.fills if fill.targets[0].split(".")[0] in held]
    params: Tree = {name: source.load(name) for name in held}
    arrays: dict[str, Tensor] = {**tensors, **unapply(owned, params, tensors)}
    _repeat(arrays, tensors, plan.copies)
    notes = []
    if file == "gpt":
        trained = heads(source, dict(tensors))
        arrays |= trained
        if grown and not trained:
            notes.append(_grow_text_head(arrays, source.config.gpt.text_vocabulary))
    written = [name for name in tensors if arrays[name] is not tensors[name]]
    path = place.of(file)
    if not written:
        copy_file(tensors.path, path)
        for shard in _shards(tensors):
            copy_file(shard.path, path.parent / shard.path.name)
    else:
        notes += _other_base(source, importer, file)
        if tensors.unread:
            notes.append(f"without {', '.join(tensors.unread)} (training state)")
        if isinstance(tensors, Shards):
            write_shards(path, tensors, arrays)
        else:
            write_arrays(path, tensors.layout, arrays)
    tensors.release()
    return FileReport(importer.located.name(file), len(tensors), len(written), "; ".join(notes))


def _shards(tensors: Tensors) -> Sequence[Tensors]:
    """The files that an index names; none of a single file."""
    return tensors.files if isinstance(tensors, Shards) else ()


def _repeat(
    arrays: dict[str, Tensor], base: Mapping[str, Tensor], copies: Mapping[str, str]
) -> None:
    """Sets arrays that must be copies of others to what was written for the originals."""
    for name, other in copies.items():
        if arrays[other] is not base[other]:
            arrays[name] = arrays[other]


def _grow_text_head(arrays: dict[str, Tensor], rows: int) -> str:
    """Resizes the training head to another number of text tokens; returns a note."""
    for name in ("text_head.weight", "text_head.bias"):
        old = arrays[name].read()
        new = np.zeros((rows, *old.shape[1:]), old.dtype)
        kept = min(rows, len(old))
        new[:kept] = old[:kept]
        arrays[name] = made(new)
    return f"text_head: {max(rows - len(old), 0)} new rows are zeros"


def _other_base(source: Source, importer: Importer, file: str) -> list[str]:
    """A note if the checkpoint was imported from another version of the base's file."""
    known = {record.sha256 for record in source.origins}
    tensors = importer.tensors[file]
    paths = [tensors.path, *(shard.path for shard in _shards(tensors))]
    if not known or any(hash_file(path).sha256 in known for path in paths):
        return []
    return ["the base's file is not the one that the checkpoint was imported from"]


def _words(
    source: Source, base: Path, target: Path, flags: Mapping[str, str | Path | None]
) -> list[FileReport]:
    """The directory of the text-to-emotion model, if the base has it."""
    config = locate_config(base, flags)
    published = read_published(config, source.ignored, source.config.version)[0]
    folder = find_folder(base, flags.get(WORDS), published.qwen_emo_path)
    if folder is None or folder.resolve() == base.resolve():
        lost = WORDS in source.components
        return [FileReport(WORDS, 0, 0, "left out: the base has no such directory")] if lost else []
    copied = target / folder.name
    if WORDS not in source.changed:
        shutil.copytree(folder, copied)
        return [FileReport(folder.name, 0, 0)]
    ignored = [n for n in source.ignored if n.startswith(PREFIX)]
    importer = TextEmotionImporter.open(folder, dtype=source.dtype, ignore=ignored)
    ours = unapply(importer.plan.fills, source.load(WORDS), importer.tensors)
    arrays: dict[str, Tensor] = {**importer.tensors, **ours}
    _repeat(arrays, importer.tensors, importer.plan.copies)
    shutil.copytree(folder, copied)
    for shard in importer.tensors.files:
        (copied / shard.path.name).unlink()
        write_arrays(copied / shard.path.name, shard.layout, arrays)
    written = sum(arrays[name] is not importer.tensors[name] for name in importer.tensors)
    return [FileReport(folder.name, len(arrays), written)]


def _unpublished(source: Source) -> list[FileReport]:
    """Components used only in training, for which there is no published file."""
    note = "left out: there is no published file for it"
    return [FileReport(name, 0, 0, note) for name in TRAINED if name in source.components]


def without_base(source: Source, target: Path) -> list[FileReport]:
    """Writes the published directory of a model whose components are all in the checkpoint.

    Raises:
        InputError: if some are missing, or if the published files cannot express its sizes.
    """
    if missing := [name for name in COMPONENTS if name not in source.components]:
        raise InputError(
            f"{source.name} has no {', '.join(missing)}: give a base to take them from",
            "base",
        )
    config, encoder = with_published_layers(source.config, source.load("semantic_encoder"))
    reports = []
    contents = CONTENTS[config.version].files
    for file, place in settings.files(config.version).items():
        path = target / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if file == "tokenizer":
            path.write_bytes(source.tokenizer)
            continue
        params = {
            name: encoder if name == "semantic_encoder" else source.load(name)
            for name in contents[file].components
        }
        expected = expected_of(file, config, files=contents)
        arrays = unapply(fills(contents[file].rows(config), expected), params)
        count = len(arrays)
        blanks = BLANKS[config.version]
        blank = blanks[file](config, arrays) if file in blanks else {}
        if file == "gpt" and (trained := heads(source)):
            arrays, blank = arrays | trained, {}
        notes = [f"zeros: {', '.join(_shortened(unknown(blank)))}"] if unknown(blank) else []
        if file == "w2v_bert" and config != source.config:
            more = config.semantic_encoder.layers - source.config.semantic_encoder.layers
            notes.insert(0, f"{more} identity layers added")
        arrays |= blank
        write_arrays(path, _layout(file, contents[file].part, arrays), arrays)
        reports.append(FileReport(place, len(arrays), count, "; ".join(notes)))
    _write_settings(config, target)
    if WORDS in source.components:
        reports.append(FileReport(WORDS, 0, 0, "left out: only a base can supply its directory"))
    _check_written(config, target)
    return reports + _unpublished(source)


def _layout(file: str, part: str | None, names: Sequence[str] | Mapping[str, Any]) -> Any:
    """How the published files hold their arrays."""
    if list(names) == [BARE]:
        return BARE
    plain: dict[str, Any] = {name: name for name in names}
    if file == "s2mel":  # a dictionary for each of its three networks
        nested: dict[str, Any] = {}
        for name in names:
            word, _, rest = name.partition(".")
            nested.setdefault(word, {})[rest] = name
        plain = nested
    # The GPT's file may be nested under a key when read; the published one is not.
    return {part: plain} if part and file != "gpt" else plain


def _shortened(names: Sequence[str]) -> list[str]:
    """Distinct names after replacing all numbers by one placeholder."""
    words = (name.split(".") for name in names)
    return list(dict.fromkeys(".".join("N" if w.isdigit() else w for w in ws) for ws in words))


def _write_settings(config: ModelConfig, target: Path) -> None:
    text = yaml.safe_dump(settings.published(config), sort_keys=False, default_flow_style=None)
    (target / "config.yaml").write_text(text, encoding="utf-8")
    places = settings.files(config.version)
    w2v, vocoder = ((target / places[name]).parent for name in ("w2v_bert", "bigvgan"))
    for path, data in (
        (w2v / "config.json", settings.w2v_bert(config, config.semantic_encoder.layers)),
        (w2v / "preprocessor_config.json", settings.EXTRACTOR),
        (vocoder / "config.json", settings.bigvgan(config)),
    ):
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def _check_written(config: ModelConfig, target: Path) -> None:
    """Checks that the sizes read back from the files are those of the model.

    Raises:
        InputError: naming sizes that the published files cannot express.
    """
    _check_sizes(config, Importer.open(target).config, Path("the published files"))
