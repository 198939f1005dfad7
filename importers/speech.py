"""A published model as a whole: its configuration, the plan of every file, its components.

importer = Importer.open(Path("checkpoints"))     # reads headers only; raises all problems
params = importer.read("gpt")                     # one component's arrays
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from importers import table
from importers.bounds import more_than_held
from importers.formats.tensors import SourceError, Tensors
from importers.release import tokenizers
from importers.release.detect import check_tokens, detect
from importers.release.files import CONFIG, CONTENTS, File, expected_of, files_of, merged
from importers.release.locate import FEATURES, LAYOUTS, Located, locate, locate_config
from importers.release.settings import Published, read_published, read_settings, read_yaml
from importers.sizes import resolve
from importers.table import ImportMismatch, Plan, Tree, passed_over
from importers.tables import bigvgan, gpt, prototypes, w2v_bert
from indextts_jax.config import RELEASES, ModelConfig, bundled_config
from indextts_jax.errors import gathered
from indextts_jax.models.components import COMPONENTS
from indextts_jax.utils.strict_data import ConfigError, from_data, to_data


@dataclasses.dataclass(frozen=True)
class Importer:
    """A published model whose names, shapes and settings have been checked."""

    located: Located
    config: ModelConfig
    dtype: str
    tensors: Mapping[str, Tensors]  # by file
    plans: Mapping[str, Plan]  # by file
    expected: Mapping[str, Tree]  # by file: the parameters it fills, by component
    ignored: tuple[str, ...]
    files: Mapping[str, File]

    @classmethod
    def open(
        cls,
        src: Path,
        *,
        dtype: str = "float32",
        ignore: Sequence[str] = (),
        flags: Mapping[str, str | Path | None] | None = None,
        training: bool = False,
    ) -> "Importer":
        """Opens the model in a directory; no array is read.

        Args:
            src: the directory.
            dtype: dtype of stored weights; tables stay float32.
            ignore: exact names to skip: keys of `config.yaml`, arrays, and keys of models' own
                `config.json` with the prefix `bigvgan.` or `w2v_bert.`.
            flags: paths of auxiliary models by name (see `locate`).
            training: whether to read what only training needs, too.

        Raises:
            SourceError: if files are missing or cannot be read.
            ImportMismatch: with every disagreement between files, settings and model.
        """
        path = locate_config(src, flags or {})
        version = detect(src, read_yaml(path))
        contents = CONTENTS[version]
        published, passed = _settings_of(path, ignore, version)
        located = locate(src, published, flags or {}, version)
        tensors, settings, passed_by = _open_all(located, published, ignore, contents.files)
        _check_same_model(located, settings, tensors, version)
        names = {name for file in tensors.values() for name in (*file, *file.ignored)} | passed_by
        ignored = tuple(
            word
            for word in ignore
            if word in passed or any(passed_over(name, [word]) for name in names)
        )
        problems = [
            f"--ignore {name}: no key of config.yaml and no array has this name"
            for name in ignore
            if name not in ignored
        ]
        problems += _unsupported(located, published, settings, version)
        sections, unsized = _sections(located, published, settings, tensors, version)
        problems += unsized
        problems += _wrong_rows(located, sections, tensors)
        problems += _disagreements(located, sections, settings, tensors)
        problems += tokenizers.problems(located, published, version)
        config, unfit = _whole(sections, version)
        problems += unfit
        plans, expected = {}, {}
        files = contents.training if training else contents.files
        for file in contents.files:
            if all(component in sections for component in contents.files[file].components):
                try:
                    expected[file] = expected_of(file, config, dtype, files)
                    plans[file] = table.plan(
                        files[file].rows(config),
                        tensors[file],
                        expected[file],
                        file=located.name(file),
                        ignore=ignore,
                    )
                except ImportMismatch as error:
                    problems += _told_apart(error, located.name(file))
        if problems:
            raise ImportMismatch(str(src), list(dict.fromkeys(problems)))
        return cls(located, config, dtype, tensors, plans, expected, ignored, files)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was read from an unusual place, and what was not read."""
        notes = list(self.located.notes)
        for name, file in self.tensors.items():
            label = self.located.name(name)
            if file.prefix:
                notes.append(f"{label}: names are read without their prefix {file.prefix}")
            if file.unread:
                others = ", ".join(map(str, file.unread[:8])) + ", ..." * (len(file.unread) > 8)
                notes.append(f"{label}: not read: {others}")
        return tuple(notes)

    @property
    def tokenizer(self) -> bytes:
        """Contents of the tokenizer's file."""
        return self.located.files["tokenizer"].read_bytes()

    def read(self, component: str, progress: Callable[[int], None] = lambda count: None) -> Tree:
        """A component's parameters; `progress` is called with the number of arrays read so far.

        Raises:
            ImportMismatch: with every array that is not finite, or differs from one that it must
                copy.
        """
        trees, problems = [], []
        for file in files_of(component, self.files):
            try:
                tree = table.read(
                    self.plan_of(component, file),
                    self.tensors[file],
                    {component: self.expected[file][component]},
                    file=self.located.name(file),
                    progress=progress,
                )
                trees.append(tree[component])
            except ImportMismatch as error:
                problems += _told_apart(error, self.located.name(file))
            self.tensors[file].release()
        if component == "vocoder":
            problems += [
                f"{self.located.name('bigvgan')}: {problem}"
                for problem in bigvgan.check_filters(self.tensors["bigvgan"])
            ]
        if problems:
            raise ImportMismatch(str(self.located.src), problems)
        return merged(trees)

    def plan_of(self, component: str, file: str) -> Plan:
        """The part of a file's plan that fills one component.

        Dropped arrays count towards the component whose arrays begin with the same word, else
        towards the file's last component.
        """
        whole, components = self.plans[file], self.files[file].components
        words = {
            source.split(".")[0]: _owner(fill.targets[0])
            for fill in whole.fills
            for sources in fill.sources
            for source in sources
        }
        fills = tuple(fill for fill in whole.fills if _owner(fill.targets[0]) == component)
        read = tuple(dict.fromkeys(n for fill in fills for names in fill.sources for n in names))
        dropped = {
            name: reason
            for name, reason in whole.dropped.items()
            if words.get(name.split(".")[0], components[-1]) == component
        }
        copies = {name: other for name, other in whole.copies.items() if name in dropped}
        return dataclasses.replace(whole, fills=fills, read=read, dropped=dropped, copies=copies)


def _owner(target: str) -> str:
    return target.split(".")[0]


def _told_apart(error: ImportMismatch, file: str) -> list[str]:
    return [f"{file}: {problem}" for problem in error.problems]


def _settings_of(
    path: Path, ignore: Sequence[str], version: str
) -> tuple[Published, tuple[str, ...]]:
    """`read_published`; where a setting is wrong, also whose weights these are."""
    try:
        return read_published(path, ignore, version)
    except ConfigError as error:
        lacks = version == "2.0" and "dataset" not in read_yaml(path)
        if version == "2.0" and not lacks:
            raise
        more = f"gpt.pth is {LAYOUTS[version].name}'s"
        if lacks:
            more += f", a {path.name} without dataset {LAYOUTS['2.5'].name}'s"
        raise ConfigError(f"{error} ({more})") from error


def _open_all(
    located: Located, published: Published, ignore: Sequence[str], files: Mapping[str, File]
) -> tuple[dict[str, Tensors], dict[str, dict[str, Any]], set[str]]:
    """Every file of arrays, opened; all settings by model name; ignored keys."""
    settings = {CONFIG: to_data(published)}
    tensors: dict[str, Tensors] = {}
    problems: list[str] = []
    passed: set[str] = set()
    for name, file in files.items():
        try:
            tensors[name] = file.open(located.files[name], ignore)
            if f"{name}_config" in located.files:
                own = read_settings(located.files[f"{name}_config"], f"{name}.", ignore)
                settings[name] = w2v_bert.completed(own[0]) if name == "w2v_bert" else own[0]
                passed.update(own[1])
            if FEATURES in located.files and name == "w2v_bert":
                settings[FEATURES] = read_settings(located.files[FEATURES])[0]
        except (SourceError, OSError) as error:
            problems.append(str(error))
    if problems:
        raise SourceError(gathered(f"reading the files of {located.src}", problems))
    return tensors, settings, passed


def _unsupported(
    located: Located, published: Published, settings: Mapping[str, dict[str, Any]], version: str
) -> list[str]:
    """Settings that this program does not support."""
    checks = CONTENTS[version].check_settings
    problems = [problem for check in checks for problem in check(settings[CONFIG])]
    found = [f"{located.name('config')}: {problem}" for problem in problems]
    try:
        mel = published.mel()
    except ConfigError as error:
        found.append(f"{located.name('config')}: {error}")
        mel = None
    for name, problems in (
        ("w2v_bert_config", w2v_bert.check_settings(settings["w2v_bert"])),
        (FEATURES, w2v_bert.check_features(settings.get(FEATURES, {}))),
        ("bigvgan_config", bigvgan.check_settings(settings["bigvgan"], mel)),
    ):
        found += [f"{located.name(name)}: {problem}" for problem in problems]
    return found


def _sections(
    located: Located,
    published: Published,
    settings: Mapping[str, dict[str, Any]],
    tensors: Mapping[str, Tensors],
    version: str,
) -> tuple[dict[str, Any], list[str]]:
    """The sections of our configuration, and the problems that prevented others."""
    hints = {field.name: field.type for field in dataclasses.fields(ModelConfig)}
    hints |= RELEASES[version].sections
    sections: dict[str, Any] = {}
    problems: list[str] = []
    with contextlib.suppress(ConfigError):  # reported by `_unsupported`
        sections["mel"] = published.mel()
    for component in COMPONENTS:
        sized = CONTENTS[version].sizes[component]
        arrays = tensors[sized.file]
        label = located.name(sized.file)
        try:
            values = resolve(sized.sizes(arrays), settings[sized.settings], arrays, file=label)
            kind = cast(type, hints[component])
            section: Any = from_data(kind, _nested(values), component)
            if beyond := more_than_held(section, len(arrays), f"{component}."):
                problems += [f"{label}: {problem}" for problem in beyond]
            else:
                sections[component] = section
        except ImportMismatch as error:
            problems += _told_apart(error, label)
        except ConfigError as error:
            problems.append(f"{label}: {error}")
    return sections, problems


def _nested(values: Mapping[str, Any]) -> Any:
    """Values by dotted name as nested data; names that are numbers make a list."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *parents, last = name.split(".")
        place = nested
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = value

    def lists(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        if node and all(key.isdigit() for key in node):
            return [lists(node[key]) for key in sorted(node, key=int)]
        return {key: lists(value) for key, value in node.items()}

    return lists(nested)


def _wrong_rows(
    located: Located, sections: Mapping[str, Any], tensors: Mapping[str, Tensors]
) -> list[str]:
    """Problems with the row counts of the two matrices, which `emo_num` states."""
    if "emotion_prototypes" not in sections:
        return []
    (speaker,), (emotion,) = tensors["spk_matrix"].values(), tensors["emo_matrix"].values()
    problems = prototypes.check_rows(sections["emotion_prototypes"].groups, speaker, emotion)
    return [f"{located.name('config')}: {problem}" for problem in problems]


def _disagreements(
    located: Located,
    sections: Mapping[str, Any],
    settings: Mapping[str, dict[str, Any]],
    tensors: Mapping[str, Tensors],
) -> list[str]:
    """Settings that disagree with the arrays, among those that no size is taken from."""
    layers = w2v_bert.check_layers(settings["w2v_bert"], tensors["w2v_bert"])
    found = [f"{located.name('w2v_bert_config')}: {problem}" for problem in layers]
    if "conditioning" in sections:
        perceiver = sections["conditioning"].emotion_perceiver
        widths = gpt.check_multiplier(settings[CONFIG], perceiver)
        found += [f"{located.name('config')}: {problem}" for problem in widths]
    return found


def _check_same_model(
    located: Located,
    settings: Mapping[str, dict[str, Any]],
    tensors: Mapping[str, Tensors],
    version: str,
) -> None:
    """Refuses settings of another model or version, of whose sizes nearly every array differs.

    Raises:
        ImportMismatch: with this problem alone: the rest would follow from it.
    """
    text = tensors["gpt"].get("text_embedding.weight")
    if text is None or not text.shape:
        return
    if wrong := check_tokens(settings[CONFIG], text.shape[0], version):
        name = located.name("config")
        raise ImportMismatch(str(located.src), [f"{name}: {problem}" for problem in wrong])


def _whole(sections: Mapping[str, Any], version: str) -> tuple[ModelConfig, list[str]]:
    """The complete configuration, with the rates and limits of the release.

    Also the problems found; with any, the configuration only serves to check single files.
    """
    problems = []
    release = bundled_config(CONTENTS[version].constants)
    constants: dict[str, Any] = {
        "version": release.version,
        "codes_per_second": release.codes_per_second,
        "frames_per_code": release.frames_per_code,
        "limits": release.limits,
    }
    if len(sections) == len(COMPONENTS) + 1:
        try:
            return ModelConfig(**constants, **sections), []
        except ConfigError as error:
            problems.append(str(error))
    unchecked = object.__new__(ModelConfig)
    for field in dataclasses.fields(ModelConfig):
        object.__setattr__(unchecked, field.name, {**constants, **sections}.get(field.name))
    return unchecked, problems
