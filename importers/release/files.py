"""Which published file fills which component: tables, sizes, and checks."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from importers.formats.shards import INDEX_ENDING, open_shards
from importers.formats.tensors import Tensors, open_tensors
from importers.sizes import Size
from importers.table import Drop, Row, Tensor, Tree, flatten, matching
from importers.tables import (
    bigvgan,
    campplus,
    gpt,
    gpt_v25,
    half_rate_codec,
    prototypes,
    s2mel,
    semantic_codec,
    w2v_bert,
)
from indextts_jax.config import ModelConfig
from indextts_jax.models.components import structure

Table = list[Row | Drop]
CONFIG = "config"  # the settings of `config.yaml`; other settings are named by their model's file


@dataclasses.dataclass(frozen=True)
class File:
    """A published file of arrays: how it is opened, and the table that maps it to components.

    Where it fills several components, the table's targets begin with the component's name.
    """

    components: tuple[str, ...]
    table: Callable[[ModelConfig], Table]
    part: str | None = None  # see `open_tensors`
    optional: bool = False
    bare: bool = False
    anchor: str | None = None  # see `open_tensors`

    def open(self, path: Path, ignore: Sequence[str] = ()) -> Tensors:
        """The file's arrays; of several files, where an index (`*.index.json`) lists them."""
        if path.name.endswith(INDEX_ENDING):
            return open_shards(path, self.anchor)
        return open_tensors(
            path,
            part=self.part,
            optional=self.optional,
            bare=self.bare,
            ignore=ignore,
            anchor=self.anchor,
        )

    def rows(self, config: ModelConfig) -> Table:
        """The table, with the component's name at the start of every target."""
        rows = self.table(config)
        if len(self.components) > 1:
            return rows
        return [_under(self.components[0], row) if isinstance(row, Row) else row for row in rows]


def _under(component: str, row: Row) -> Row:
    targets = (row.target,) if isinstance(row.target, str) else row.target
    return dataclasses.replace(row, target=tuple(f"{component}.{target}" for target in targets))


def _always(table: Table) -> Callable[[ModelConfig], Table]:
    return lambda config: table


FILES: dict[str, File] = {
    "w2v_bert": File(
        ("semantic_encoder",),
        _always(w2v_bert.TABLE),
        anchor="feature_projection.projection.weight",
    ),
    "w2v_stat": File(("semantic_encoder",), _always(w2v_bert.STATISTICS)),
    "semantic_codec": File(
        ("semantic_codec",),
        _always(semantic_codec.TABLE),
        anchor="quantizer.quantizers.0.out_project.weight_v",
    ),
    "campplus": File(("style_encoder",), _always(campplus.TABLE), anchor="head.conv1.weight"),
    "spk_matrix": File(("emotion_prototypes",), _always(prototypes.SPEAKER), bare=True),
    "emo_matrix": File(("emotion_prototypes",), _always(prototypes.EMOTION), bare=True),
    "gpt": File(
        ("conditioning", "gpt"), gpt.table, part="model", optional=True, anchor="mel_head.weight"
    ),
    "s2mel": File(
        ("length_regulator", "dit"),
        s2mel.table,
        part="net",
        anchor="length_regulator.model.0.weight",
    ),
    "bigvgan": File(
        ("vocoder",),
        _always(bigvgan.TABLE),
        part="generator",
        optional=True,
        anchor="conv_pre.bias",
    ),
}


def _with_heads(
    files: Mapping[str, File], table: Callable[[ModelConfig], Table]
) -> dict[str, File]:
    """The same files, with components used only in training."""
    components = ("training_heads", *files["gpt"].components)
    return {
        **files,
        "gpt": dataclasses.replace(files["gpt"], components=components, table=table),
    }


TRAINING_FILES = _with_heads(FILES, gpt.training_table)


@dataclasses.dataclass(frozen=True)
class Sized:
    """Where a component's sizes come from: settings, and tensors of one file."""

    settings: str
    file: str
    sizes: Callable[[Mapping[str, Tensor]], Mapping[str, Size]]


def _fixed(sizes: Mapping[str, Size]) -> Callable[[Mapping[str, Tensor]], Mapping[str, Size]]:
    return lambda tensors: sizes


SIZES: dict[str, Sized] = {
    "semantic_encoder": Sized("w2v_bert", "w2v_bert", _fixed(w2v_bert.SIZES)),
    "semantic_codec": Sized(CONFIG, "semantic_codec", _fixed(semantic_codec.SIZES)),
    "style_encoder": Sized(CONFIG, "campplus", _fixed(campplus.SIZES)),
    "conditioning": Sized(CONFIG, "gpt", _fixed(gpt.SIZES["conditioning"])),
    "emotion_prototypes": Sized(CONFIG, "emo_matrix", _fixed(prototypes.SIZES)),
    "gpt": Sized(CONFIG, "gpt", _fixed(gpt.SIZES["gpt"])),
    "length_regulator": Sized(CONFIG, "s2mel", _fixed(s2mel.SIZES["length_regulator"])),
    "dit": Sized(CONFIG, "s2mel", _fixed(s2mel.SIZES["dit"])),
    "vocoder": Sized("bigvgan", "bigvgan", bigvgan.sizes),
}


FILES_V25 = FILES | {
    "semantic_codec": File(("semantic_codec",), _always(half_rate_codec.TABLE), part="model"),
    "gpt": dataclasses.replace(FILES["gpt"], table=gpt_v25.table),
    "s2mel": dataclasses.replace(FILES["s2mel"], table=s2mel.table_v25),
}
SIZES_V25 = SIZES | {
    "semantic_codec": Sized(CONFIG, "semantic_codec", _fixed(half_rate_codec.SIZES)),
    "conditioning": Sized(CONFIG, "gpt", _fixed(gpt_v25.SIZES["conditioning"])),
    "gpt": Sized(CONFIG, "gpt", _fixed(gpt_v25.SIZES["gpt"])),
    "length_regulator": Sized(CONFIG, "s2mel", _fixed(s2mel.REGULATOR_SIZES)),
}


@dataclasses.dataclass(frozen=True)
class Contents:
    """What the files of a version hold."""

    constants: str  # bundled configuration with its rates and limits, which no file says
    files: Mapping[str, File]
    training: Mapping[str, File]  # the same, with what only training needs
    sizes: Mapping[str, Sized]
    check_settings: tuple[Callable[[Mapping[str, Any]], list[str]], ...]


CONTENTS: dict[str, Contents] = {
    "2.0": Contents(
        "indextts2", FILES, TRAINING_FILES, SIZES, (gpt.check_settings, s2mel.check_settings)
    ),
    "2.5": Contents(
        "indextts2_5",
        FILES_V25,
        _with_heads(FILES_V25, gpt_v25.training_table),
        SIZES_V25,
        (gpt_v25.check_settings, half_rate_codec.check_settings, s2mel.check_settings),
    ),
}


def files_of(component: str, files: Mapping[str, File] = TRAINING_FILES) -> list[str]:
    """The files that fill a component."""
    return [name for name, file in files.items() if component in file.components]


def expected_of(
    file: str, config: ModelConfig, dtype: str = "float32", files: Mapping[str, File] = FILES
) -> Tree:
    """The parameters that one file fills.

    If two files share a component, each fills what its rows name; parameters that no row names are
    expected from the first file (and then reported as not filled).
    """
    result = {}
    for component in files[file].components:
        tree = structure(component, config, dtype).expected
        sharing = files_of(component, files)
        if len(sharing) > 1:
            named = {name: _named(files[name].rows(config), component, tree) for name in sharing}
            rest = set(flatten(tree)).difference(*named.values())
            tree = _only(tree, named[file] | (rest if file == sharing[0] else set()))
        result[component] = tree
    return result


def _named(rows: Sequence[Row | Drop], component: str, tree: Tree) -> set[str]:
    """Paths of a component that are targets of rows."""
    targets = [
        target.removeprefix(f"{component}.")
        for row in rows
        if isinstance(row, Row)
        for target in ((row.target,) if isinstance(row.target, str) else row.target)
    ]
    paths = list(flatten(tree))
    return {path for target in targets for path in matching(target, paths)}


def _only(tree: Tree, paths: set[str], prefix: str = "") -> Tree:
    """The subtree with these paths."""
    result = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if not isinstance(value, dict):
            if path in paths:
                result[key] = value
        elif below := _only(value, paths, f"{path}."):
            result[key] = below
    return result


def merged(trees: Sequence[Tree]) -> Tree:
    """Merges trees that have no leaf in common."""
    result: Tree = {}
    for tree in trees:
        for key, value in tree.items():
            held = result.get(key)
            if isinstance(held, dict) and isinstance(value, dict):
                result[key] = merged([held, value])
            else:
                result[key] = value
    return result
