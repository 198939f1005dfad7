"""The directory of the text-to-emotion model: its arrays, settings, tokenizer and chat template.

The template must produce the prompt that we build.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from importers import table
from importers.bounds import more_than_held
from importers.formats.mapped import SourceError
from importers.formats.tensors import Tensors, open_tensors
from importers.release.locate import download_command
from importers.release.settings import read_settings, read_text
from importers.sizes import resolve
from importers.table import ImportMismatch, Plan, Tensor, Tree
from importers.tables import qwen
from indextts_jax.config import ModelConfig, TextEmotionConfig, bundled_config
from indextts_jax.emotion.prompt import END, SYSTEM, PromptTokenizer, prompt_of
from indextts_jax.emotion.reader import COMPONENT
from indextts_jax.errors import InputError, gathered
from indextts_jax.models.components import structure
from indextts_jax.utils import hashing
from indextts_jax.utils.strict_data import ConfigError, from_data

FILE = "chat_template.jinja"
NAMED_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")

# Texts that a template might trim, escape or misinterpret.
PROBES = (
    "今天天气真好。",
    "  two  spaces,\n\ta tab & <b>'\"</b> ",
    "{{ 7 * 7 }}",
    "/no_think 低落",
)


def find_template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """The template file, or the one in `tokenizer_config.json`, or None.

    Raises:
        SourceError: if it is not text.
    """
    path = folder / FILE
    if path.is_file():
        return read_text(path)
    template = settings.get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in template}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _spelling(token: Any) -> Any:
    return token.get("content") if isinstance(token, Mapping) else token


def render(template: str, text: str, settings: Mapping[str, Any]) -> str:
    """The template's prompt for an emotion text, rendered in a sandbox as transformers does."""
    import jinja2
    import jinja2.ext
    import jinja2.sandbox

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def tojson(value: Any, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    helpers: dict[str, Callable[..., Any]] = {"raise_exception": refuse}
    environment.globals.update(helpers)
    environment.filters["tojson"] = tojson
    tokens = {name: _spelling(settings.get(name)) for name in NAMED_TOKENS}
    return environment.from_string(template).render(
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}],
        tools=None,
        documents=None,
        add_generation_prompt=True,
        enable_thinking=False,
        **{name: token for name, token in tokens.items() if token is not None},
    )


def check_template(template: str, settings: Mapping[str, Any]) -> list[str]:
    """Problems with the template: prompts that differ from our own."""
    for probe in PROBES:
        try:
            given = render(template, probe, settings)
        except Exception as error:  # a template may raise anything
            kind = type(error).__name__
            return [f"the template cannot be rendered ({kind}: {str(error)[:120]})"]
        if given != (expected := prompt_of(probe)):
            return [f"the template gives {given!r:.240}, expected {expected!r}"]
    return []


FOLDER = "qwen0.6bemo4-merge"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
NEEDED = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
MAX_TOKENIZER = 64 * 2**20  # bytes; the published one has 11.4 million
PREFIX = f"{COMPONENT}."  # of names in --ignore

# Keys of `tokenizer_config.json` that would change tokens or text.
PLAIN_TOKENS = (
    "add_bos_token",
    "add_eos_token",
    "add_prefix_space",
    "split_special_tokens",
    "clean_up_tokenization_spaces",
)


def find_folder(src: Path, flag: str | Path | None, published: str | None) -> Path | None:
    """The model's directory: from the flag, from `config.yaml`, or `src` itself.

    Raises:
        SourceError: if the flag's directory does not exist.
    """
    if flag:
        if not Path(flag).is_dir():
            raise SourceError(f"--{COMPONENT} {flag}: directory not found")
        return Path(flag)
    names = [PurePosixPath(name).name for name in (published, FOLDER) if name]
    places = [*(src / name for name in names), src]
    return next((place for place in places if (place / "tokenizer.json").is_file()), None) or next(
        (place for place in places[:-1] if place.is_dir()), None
    )


class Shards(dict[str, Tensor]):
    """The arrays of several files as one mapping."""

    def __init__(self, files: Sequence[Tensors]):
        super().__init__({name: tensor for file in files for name, tensor in file.items()})
        self.files = files

    def release(self) -> None:
        """Lets the system reclaim the memory of what was read."""
        for file in self.files:
            file.release()


@dataclasses.dataclass(frozen=True)
class TextEmotionImporter:
    """The model's directory, after checks of names, shapes, settings and template."""

    folder: Path
    config: TextEmotionConfig
    tokenizer: bytes
    tensors: Shards
    plan: Plan
    expected: Tree
    files: tuple[Path, ...]
    ignored: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def open(
        cls, folder: Path, *, dtype: str = "float32", ignore: Sequence[str] = ()
    ) -> "TextEmotionImporter":
        """Opens the model in a directory; no array is read.

        `ignore` has names to skip, with the prefix `text_emotion.`: keys of `config.json` and
        `generation_config.json`, and arrays.

        Raises:
            SourceError: if files are missing or cannot be read.
            ImportMismatch: with every disagreement between files, settings and model.
        """
        _check_files(folder)
        own, passed = read_settings(folder / "config.json", PREFIX, ignore)
        generation, passed_by = read_settings(folder / "generation_config.json", PREFIX, ignore)
        settings = qwen.completed(own, generation)
        words, _ = read_settings(folder / "tokenizer_config.json")
        shards, paths = _open_weights(folder)
        names = [name.removeprefix(PREFIX) for name in ignore]
        ignored = (*passed, *passed_by, *(f"{PREFIX}{name}" for name in names if name in shards))
        problems = [
            f"--ignore {name}: no key of config.json or generation_config.json, and no array, has "
            "this name"
            for name in ignore
            if name not in ignored
        ]
        problems += [f"config.json: {problem}" for problem in qwen.check_settings(settings)]
        problems += [
            f"generation_config.json: {problem}" for problem in qwen.check_generation(generation)
        ]
        problems += [f"config.json: {problem}" for problem in qwen.check_head(settings, shards)]
        template = find_template(folder, words)
        if template is not None:
            problems += [f"chat template: {p}" for p in check_template(template, words)]
        section = None
        if not problems:
            problems += [f"config.json: {p}" for p in qwen.check_layers(settings, shards)]
            section = _section(settings, shards, problems)
        data = (folder / "tokenizer.json").read_bytes()
        problems += _tokenizer_problems(data, words, section)
        if problems or section is None:
            raise ImportMismatch(str(folder), problems)
        if not shards:
            raise SourceError(f"{folder} holds no arrays")
        whole = dataclasses.replace(bundled_config("indextts2"), text_emotion=section)
        expected = structure(COMPONENT, whole, dtype).expected
        plan = table.plan(qwen.TABLE, shards, expected, file=str(folder), ignore=names)
        notes = [] if template is not None else [f"{folder} has no chat template: using our own"]
        files = (*(folder / name for name in NEEDED), *paths)
        return cls(
            folder, section, data, shards, plan, expected, files, tuple(ignored), tuple(notes)
        )

    def read(self, progress: Callable[[int], None] = lambda count: None) -> Tree:
        """The component's parameters; `progress` is called with the number of arrays read so far.

        Raises:
            ImportMismatch: with every array that is not finite, and a head that differs from the
                embedding.
        """
        try:
            return table.read(
                self.plan, self.tensors, self.expected, file=str(self.folder), progress=progress
            )
        finally:
            self.tensors.release()

    def sources(self) -> Iterator[hashing.FileHash]:
        """The hash of every file that was used."""
        for path in self.files:
            yield hashing.hash_file(path, f"{self.folder.resolve().name}/{path.name}")

    def within(self, config: ModelConfig) -> ModelConfig:
        """A model's configuration with this component."""
        return dataclasses.replace(config, text_emotion=self.config)


def _check_files(folder: Path) -> None:
    """Checks that the required files exist and that the tokenizer's is not too large."""
    weights = [] if (folder / INDEX).is_file() else [WEIGHTS]
    missing = [name for name in (*NEEDED, *weights) if not (folder / name).is_file()]
    if missing:
        fetch = download_command(folder.parent)
        raise SourceError(
            f"{folder} lacks {', '.join(missing)}, of the text-to-emotion model; the published "
            f"files come with: {fetch}"
        )
    if (size := (folder / "tokenizer.json").stat().st_size) > MAX_TOKENIZER:
        raise SourceError(f"{folder / 'tokenizer.json'}: {size:,} bytes are too many")


def _open_weights(folder: Path) -> tuple[Shards, list[Path]]:
    """The arrays, and the weight and index files."""
    if (folder / WEIGHTS).is_file():
        return Shards([open_tensors(folder / WEIGHTS)]), [folder / WEIGHTS]
    index, _ = read_settings(folder / INDEX)
    places = index.get("weight_map")
    if not isinstance(places, Mapping) or not all(isinstance(v, str) for v in places.values()):
        raise SourceError(f"{folder / INDEX}: expected weight_map, from arrays to files")
    problems, opened = [], {}
    for name in sorted(set(places.values())):
        if PurePosixPath(name).name != name or "\\" in name:
            problems.append(f"{folder / INDEX}: {name!r:.80} is outside the directory")
            continue
        try:
            opened[name] = open_tensors(folder / name)
        except (SourceError, OSError) as error:
            problems.append(str(error))
    for name, file in opened.items():
        said = {array for array, place in places.items() if place == name}
        problems += [f"{INDEX}: {array} is not in {name}" for array in sorted(said - set(file))]
        problems += [f"{INDEX} does not list {array} in {name}" for array in set(file) - said]
    if problems:
        raise SourceError(gathered(f"reading the files of {folder}", problems))
    return Shards(list(opened.values())), [folder / INDEX, *(folder / name for name in opened)]


def _section(
    settings: Mapping[str, Any], tensors: Mapping[str, Tensor], problems: list[str]
) -> TextEmotionConfig | None:
    """The sizes, or None with the problems."""
    try:
        values = resolve(qwen.SIZES, settings, tensors, file="config.json")
        values |= {
            "reply_tokens": min(qwen.REPLY_TOKENS, values["positions"] // 2),
            "buckets": list(qwen.BUCKETS),
        }
        section = from_data(TextEmotionConfig, values, COMPONENT)
        problems += [f"config.json: {p}" for p in more_than_held(section, len(tensors))]
        return None if problems else section
    except ImportMismatch as error:
        problems += [f"config.json: {problem}" for problem in error.problems]
    except ConfigError as error:
        problems.append(f"config.json: {error}")
    return None


def _tokenizer_problems(
    data: bytes, settings: Mapping[str, Any], section: TextEmotionConfig | None
) -> list[str]:
    """Problems with the tokenizer: invalid, or without required tokens."""
    problems = [
        f"tokenizer_config.json: {key} is {settings[key]!r}: only False is supported"
        for key in PLAIN_TOKENS
        if settings.get(key)
    ]
    try:
        tokenizer = PromptTokenizer(data)
    except InputError as error:
        return [*problems, f"tokenizer.json: {error}"]
    if len(tokenizer.ids(END)) != 1 or tokenizer.ids(END) != [tokenizer.id(END)]:
        problems.append(f"tokenizer.json has no special token {END}")
    added = settings.get("added_tokens_decoder") or {}
    for number, entry in added.items() if isinstance(added, Mapping) else ():
        content = entry.get("content") if isinstance(entry, Mapping) else None
        if not isinstance(content, str) or str(tokenizer.id(content)) != number:
            problems.append(
                f"tokenizer_config.json: {content!r:.60} is token {number!r:.20}, but not in "
                "tokenizer.json"
            )
    if section is not None and tokenizer.size > section.vocabulary:
        problems.append(
            f"tokenizer.json has {tokenizer.size:,} tokens, but vocab_size is "
            f"{section.vocabulary:,}"
        )
    return problems
