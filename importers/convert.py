"""Published files to components: which file feeds which component, and through which table."""

import dataclasses
import importlib
from collections.abc import Sequence
from pathlib import Path

from importers import table as engine
from importers.sources import Tensors, open_tensors
from importers.table import Drop, Plan, Row, Tree, flatten
from indextts_jax.config import Config, bundled_config
from indextts_jax.models.components import structure


@dataclasses.dataclass(frozen=True)
class Published:
    """A published file: how it is opened, and the table that spreads it over components."""

    module: str  # in `importers`
    table: str  # its table: a list, or a function of the configuration
    components: tuple[str, ...]  # more than one: targets begin with the component's name
    part: str | None = None  # see `open_tensors`
    optional: bool = False
    bare: bool = False

    def open(self, path: Path, ignore: Sequence[str] = ()) -> Tensors:
        """The file's arrays."""
        return open_tensors(
            path, part=self.part, optional=self.optional, bare=self.bare, ignore=ignore
        )

    def rows(self, config: Config) -> list[Row | Drop]:
        """The table; each target begins with the name of its component."""
        found = getattr(importlib.import_module(f"importers.{self.module}"), self.table)
        rows: list[Row | Drop] = found(config) if callable(found) else found
        if len(self.components) > 1:
            return rows
        return [_under(self.components[0], row) if isinstance(row, Row) else row for row in rows]


def _under(component: str, row: Row) -> Row:
    targets = (row.target,) if isinstance(row.target, str) else row.target
    return dataclasses.replace(row, target=tuple(f"{component}.{target}" for target in targets))


FILES: dict[str, Published] = {
    "w2v_bert": Published("w2v_bert", "TABLE", ("semantic_encoder",)),
    "w2v_stat": Published("w2v_bert", "STATISTICS", ("semantic_encoder",)),
    "semantic_codec": Published("semantic_codec", "TABLE", ("semantic_codec",)),
    "campplus": Published("campplus", "TABLE", ("style_encoder",)),
    "spk_matrix": Published("prototypes", "SPEAKER", ("emotion_prototypes",), bare=True),
    "emo_matrix": Published("prototypes", "EMOTION", ("emotion_prototypes",), bare=True),
    "gpt": Published("gpt", "table", ("conditioning", "gpt"), part="model", optional=True),
    "s2mel": Published("s2mel", "table", ("length_regulator", "dit"), part="net"),
    "bigvgan": Published("bigvgan", "TABLE", ("vocoder",), part="generator", optional=True),
}


def files_of(component: str) -> list[str]:
    """The files that fill a component."""
    return [name for name, published in FILES.items() if component in published.components]


def expected_of(file: str, config: Config, dtype: str = "float32") -> Tree:
    """What one file fills of its components.

    Where two files share a component, each fills what its rows name; what no row names is expected
    of the first of them (and then reported as not filled).
    """
    result = {}
    for component in FILES[file].components:
        tree = structure(component, config, dtype).expected
        sharing = files_of(component)
        if len(sharing) > 1:
            named = {name: _named(FILES[name].rows(config), component, tree) for name in sharing}
            rest = set(flatten(tree)).difference(*named.values())
            tree = _only(tree, named[file] | (rest if file == sharing[0] else set()))
        result[component] = tree
    return result


def _named(rows: Sequence[Row | Drop], component: str, tree: Tree) -> set[str]:
    """Paths of a component that rows have as targets."""
    targets = [
        target.removeprefix(f"{component}.")
        for row in rows
        if isinstance(row, Row)
        for target in ((row.target,) if isinstance(row.target, str) else row.target)
    ]
    paths = list(flatten(tree))
    return {path for target in targets for path in engine.matching(target, paths)}


def _only(tree: Tree, paths: set[str], prefix: str = "") -> Tree:
    """The part of a tree that holds these paths."""
    result = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if not isinstance(value, dict):
            if path in paths:
                result[key] = value
        elif below := _only(value, paths, f"{path}."):
            result[key] = below
    return result


def _merged(trees: Sequence[Tree]) -> Tree:
    """Trees with different leaves as one."""
    result: Tree = {}
    for tree in trees:
        for key, value in tree.items():
            held = result.get(key)
            both = isinstance(held, dict) and isinstance(value, dict)
            result[key] = _merged([held, value]) if both else value
    return result


_TINY = {
    "w2v_bert": "w2v-bert-2.0/model.safetensors",
    "w2v_stat": "wav2vec2bert_stats.pt",
    "semantic_codec": "semantic_codec/model.safetensors",
    "campplus": "campplus/campplus_cn_common.bin",
    "spk_matrix": "feat1.pt",
    "emo_matrix": "feat2.pt",
    "gpt": "gpt.pth",
    "s2mel": "s2mel.pth",
    "bigvgan": "bigvgan/bigvgan_generator.pt",
}


@dataclasses.dataclass
class Importer:
    """A published model: its configuration, and its components one by one."""

    src: Path
    config: Config

    @classmethod
    def open(cls, src: Path) -> "Importer":
        """The model whose files lie in a folder."""
        return cls(src, bundled_config("tiny"))

    def read(self, component: str, dtype: str = "float32") -> Tree:
        """A component's parameters."""
        trees = []
        for file in files_of(component):
            tensors = FILES[file].open(self.src / _TINY[file])
            expected = expected_of(file, self.config, dtype)
            label = _TINY[file]
            plan = engine.plan(FILES[file].rows(self.config), tensors, expected, file=label)
            fills = tuple(f for f in plan.fills if f.targets[0].startswith(f"{component}."))
            part = {component: expected[component]}
            chosen = dataclasses.replace(plan, fills=fills)
            trees.append(engine.read(chosen, tensors, part, file=label)[component])
        return _merged(trees)
