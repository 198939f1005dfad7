"""Which inputs an import reads: published files, and an existing checkpoint to add to."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from importers.formats.shards import Shards
from importers.release.detect import detect
from importers.release.files import files_of
from importers.release.locate import AUXILIARY
from importers.release.settings import read_published, read_yaml
from importers.speech import Importer
from importers.table import Plan, Tree
from importers.text_emotion import FOLDER, PREFIX, TextEmotionImporter, find_folder
from indextts_jax.checkpoint import reading, writing
from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError, gathered
from indextts_jax.models.components import COMPONENTS, OPTIONAL, TRAINING
from indextts_jax.utils import hashing
from indextts_jax.utils.strict_data import to_data

(WORDS,) = OPTIONAL  # a component with an importer of its own
ALL = (*COMPONENTS, *OPTIONAL)
NAMED = (*ALL, *TRAINING)  # names that --components accepts


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What to import and how; each field is also a flag of `python -m indextts_jax.import`."""

    src: str | Path
    dst: str | Path | None = None
    dtype: str | None = None  # None: float32, or that of the checkpoint that is added to
    components: Sequence[str] | None = None
    training: bool = False
    ignore: Sequence[str] = ()
    force: bool = False
    dry_run: bool = False
    w2v_bert: str | Path | None = None
    semantic_codec: str | Path | None = None
    campplus: str | Path | None = None
    bigvgan: str | Path | None = None
    text_emotion: str | Path | None = None


@dataclasses.dataclass(frozen=True)
class Sources:
    """The importers of the requested components."""

    speech: Importer | None
    words: TextEmotionImporter | None

    def plans_of(self, component: str) -> list[tuple[Plan, Tree]]:
        """The import plan of each file that a component is read from."""
        if component == WORDS:
            assert self.words is not None
            return [(self.words.plan, self.words.expected)]
        assert self.speech is not None
        return [
            (self.speech.plan_of(component, file), self.speech.expected[file][component])
            for file in files_of(component, self.speech.files)
        ]

    def read(self, component: str, progress: Callable[[int], None]) -> Tree:
        """A component's parameters."""
        source = self.words if component == WORDS else None
        if source is not None:
            return source.read(progress)
        assert self.speech is not None
        return self.speech.read(component, progress)

    def hashes(self, components: Sequence[str]) -> Iterator[hashing.FileHash]:
        """The hash of every file that was used."""
        if self.speech is not None:
            yield from _speech_hashes(self.speech, [name for name in components if name != WORDS])
        if self.words is not None:
            yield from self.words.sources()

    @property
    def ignored(self) -> tuple[str, ...]:
        """The --ignore names that were found and skipped."""
        return tuple(
            name
            for source in (self.speech, self.words)
            if source is not None
            for name in source.ignored
        )


def _speech_hashes(importer: Importer, components: Sequence[str]) -> Iterator[hashing.FileHash]:
    """The hash of every file that was used."""
    used = ["config", "tokenizer"]
    for component in components:
        used += files_of(component, importer.files)
    beside = [f"{name}_{kind}" for name in used for kind in ("config", "features")]
    used += [name for name in beside if name in importer.located.files]
    for name in dict.fromkeys(used):
        path, label = importer.located.files[name], importer.located.name(name)
        yield hashing.hash_file(path, label)
        if isinstance(file := importer.tensors.get(name), Shards):
            for shard in file.files:
                place = PurePosixPath(label).with_name(shard.path.name)
                yield hashing.hash_file(shard.path, place.as_posix())


def base_of(
    target: Path, options: ImportOptions, components: Sequence[str]
) -> reading.Checkpoint | None:
    """The checkpoint that the components are added to, or None if a new one is made.

    Raises:
        InputError: if it has them already, or if the destination is something else.
    """
    if options.components is None or not reading.is_checkpoint(target):
        writing.check_destination(target, force=options.force)
        return None
    base = reading.open_checkpoint(target)
    held = [name for name in components if name in base.components]
    if held and not options.force:
        raise InputError(f"{target} has {', '.join(held)} already; --force replaces them")
    if options.dtype not in (None, base.provenance.dtype):
        raise InputError(
            f"{target} holds {base.provenance.dtype}: all its components have one --dtype, "
            f"got {options.dtype}"
        )
    return base


def open_sources(
    src: Path, options: ImportOptions, components: Sequence[str], dtype: str, alone: bool
) -> Sources:
    """The importers of the components; that of the text-to-emotion model if its directory exists.

    With `alone`, the checkpoint holds everything else, so the directory of that model is enough.
    """
    of_words = [name for name in options.ignore if name.startswith(PREFIX)]
    ignore = [name for name in options.ignore if name not in of_words]
    speech, published = None, None
    if tuple(components) == (WORDS,) and not (alone or (src / "config.yaml").is_file()):
        raise InputError(
            f"--components {WORDS} adds to a checkpoint: --dst names none, and {src} has no "
            "config.yaml to make one from"
        )
    if not (alone and tuple(components) == (WORDS,)):
        speech = Importer.open(
            src,
            dtype=dtype,
            ignore=ignore,
            flags={name: getattr(options, name) for name in AUXILIARY},
            training=any(name in TRAINING for name in components),
        )
        ignore = []
    if (src / "config.yaml").is_file():
        settings = read_yaml(src / "config.yaml")
        version = detect(src, settings)
        published = read_published(src / "config.yaml", options.ignore, version)[0].qwen_emo_path
    words, folder = None, find_folder(src, options.text_emotion, published)
    if WORDS in components and folder is not None:
        try:
            words = TextEmotionImporter.open(folder, dtype=dtype, ignore=[*of_words, *ignore])
        except InputError as error:
            if options.components is not None:
                raise
            others = ",".join(COMPONENTS)
            way = f"the rest can be imported without it: --components {others}"
            raise InputError(f"{error}\n  {way}") from error
    elif WORDS in components and options.components is not None:
        raise InputError(
            f"{src} has no directory {FOLDER}, of the text-to-emotion model; name it with --{WORDS}"
        )
    elif unused := [*of_words, *(ignore if speech is None else [])]:
        raise InputError(f"--ignore {', '.join(unused)}: {WORDS} is not imported")
    return Sources(speech, words)


def config_of(sources: Sources, base: reading.Checkpoint | None) -> ModelConfig:
    """The configuration of the checkpoint.

    Raises:
        InputError: if the files belong to another model than the one in the checkpoint.
    """
    own = base.config if base is not None else None
    if sources.speech is not None:
        given = sources.speech.config
        if base is not None:
            held, new = (to_data(config) for config in (base.config, given))
            problems = [
                f"{section} differs from the checkpoint's"
                for section in new
                if section != WORDS and new[section] != held[section]
            ]
            if sources.speech.tokenizer != base.tokenizer:
                problems.append("the tokenizer differs from the checkpoint's")
            if problems:
                raise InputError(gathered(f"adding to {base.path}", problems))
        own = own or given
    assert own is not None
    return own if sources.words is None else sources.words.within(own)


def save(
    target: Path,
    force: bool,
    dtype: str,
    config: ModelConfig,
    sources: Sources,
    base: reading.Checkpoint | None,
    arrays: Iterator[tuple[str, Tree]],
    components: Sequence[str],
) -> None:
    """Writes the checkpoint; with `base`, replaces that one by itself plus the new components."""
    kept = [name for name in base.components if name not in components] if base else []
    words = sources.words.tokenizer if sources.words is not None else None
    if words is None and base is not None and WORDS in kept:
        words = base.emotion_tokenizer
    if base is not None:
        tokenizer = base.tokenizer
    else:
        assert sources.speech is not None
        tokenizer = sources.speech.tokenizer

    def hashes() -> Iterator[hashing.FileHash]:
        new = {record.name: record for record in sources.hashes(components)}
        for record in base.provenance.sources if base is not None else ():
            if record.name not in new:
                yield record
        yield from new.values()

    before = base.provenance.ignored if base is not None else ()
    writing.save(
        target,
        config=config,
        tokenizer=tokenizer,
        components=arrays,
        dtype=dtype,
        sources=hashes(),
        ignored=tuple(dict.fromkeys((*before, *sources.ignored))),
        force=force,
        emotion_tokenizer=words,
        base=base,
        kept=kept,
        notes=sources.speech.notes if sources.speech is not None else (),
    )
