"""From manifests to prepared data: checks, split, and missing features.

    found = survey(clips, job, config, tokenizer)
    print(found.report.text())
    data, made = write(found, job, config, tokenizer, model)

`survey` runs no network and decides which rows are used; `write` computes only missing features, so
a second run computes nothing. A directory that was prepared for other recipes keeps their features.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.runtime.model import Model
from indextts_jax.training.data import features, making
from indextts_jax.training.data.alignment import Labels
from indextts_jax.training.data.index import FEATURES, DataSettings
from indextts_jax.training.data.job import Job, Progress
from indextts_jax.training.data.kept import (
    Before,
    extended,
    nameable,
    read_before,
    still_true,
)
from indextts_jax.training.data.making import Task
from indextts_jax.training.data.pairs import Pairs
from indextts_jax.training.data.prepared import Prepared, create
from indextts_jax.training.data.rows import texts
from indextts_jax.training.data.rows.survey import Candidate, Survey
from indextts_jax.training.data.rows.texts import TextTokenizer
from indextts_jax.training.versions.interface import kind_of
from indextts_jax.utils.hashing import digest
from indextts_jax.utils.strict_data import to_data

OF_PROMPTS = ("latents", "flow_mel")  # features of codes, with another clip as prompt


def write(
    found: Survey,
    job: Job,
    config: ModelConfig,
    tokenizer: TextTokenizer | None,
    model: Model | None = None,
    *,
    on_progress: Progress = lambda done, of, what: None,
) -> tuple[Prepared, Mapping[str, int]]:
    """Computes missing features and writes the index; also returns the number computed per feature.

    Raises:
        InputError: if a recipe needs a network and there is no model, or the directory cannot be
            written.
        Failure: if a network gives numbers that are not finite.
    """
    components = features.components_of(job.features, config.version)
    if components and model is None:
        raise InputError(
            f"for {','.join(job.recipes)} networks are needed ({', '.join(components)}): give a "
            "checkpoint instead of a config",
            "for",
            "checkpoint",
            "config",
        )
    if model is not None and (lacking := [n for n in components if n not in model.params]):
        raise InputError(
            f"for {','.join(job.recipes)} a checkpoint with {', '.join(lacking)} is needed", "for"
        )
    before = read_before(job.dst, config)
    prints = (before.prints if before else {}) | features.fingerprints(model, components)
    if config.semantic_codec.codes > 2**16:
        raise InputError(f"semantic_codec.codes is {config.semantic_codec.codes}; at most 65,536")
    settings = DataSettings(
        tokenizer="" if tokenizer is None else tokenizer.sha256,
        text_compat=job.text_compat,
        glossary=texts.glossary_hash(job.glossary),
        config=digest(to_data(config)),
        sample_rate=config.mel.sample_rate,
        hop=config.mel.hop,
        own_prompts=job.own_prompts,
    )
    tasks, prompts = planned(found, job, config, prints)
    # Kept text tokens belong to the existing tokenizer.
    stays = before is not None and before.settings.tokenizer != "" and not job.reads
    model_file = None if tokenizer is None or stays else tokenizer.model
    with create(job.dst, settings, model_file) as writer:
        made = making.make(
            tasks,
            writer.shards,
            config,
            model,
            prompts=prompts,
            batch_seconds=job.batch_seconds,
            workers=job.workers,
            on_progress=on_progress,
        )
        if before is not None:
            tasks, settings = _with_kept(tasks, found, before, job, config, prints, settings)
        for task in tasks:
            writer.add_stored(task.row, task.names)
        writer.settings = _completed(settings, tasks, prints, config.version)
        found.report.write(job.dst)
    return Prepared.open(job.dst), made


def planned(
    found: Survey, job: Job, config: ModelConfig, prints: Mapping[str, str]
) -> tuple[list[Task], dict[str, Task]]:
    """The task of each row, and for each row the prompt clip of its latents."""
    tasks = _tasks(found, job, config, prints)
    wanted = [name for name in OF_PROMPTS if name in job.features]
    prompts = _prompts(tasks, job) if wanted else {}
    return [_with_prompted(task, prompts, config, prints, wanted) for task in tasks], prompts


def _completed(
    settings: DataSettings, tasks: Sequence[Task], prints: Mapping[str, str], version: str
) -> DataSettings:
    """The settings, with the features of every row and the components of all features."""
    there = {name for task in tasks for name in task.names}
    everywhere = [
        name for name in FEATURES if name in there and all(name in task.names for task in tasks)
    ]
    components = features.components_of(there, version)
    return dataclasses.replace(
        settings,
        features=tuple(name for name in everywhere if name != "emotion_prompt"),
        components=tuple(f"{name}={prints[name]}" for name in components),
    )


def _with_kept(
    tasks: Sequence[Task],
    found: Survey,
    before: Before,
    job: Job,
    config: ModelConfig,
    prints: Mapping[str, str],
    settings: DataSettings,
) -> tuple[list[Task], DataSettings]:
    """Adds still-valid earlier arrays to the tasks, and merges the settings.

    Earlier settings are kept where this job does not determine them.
    """
    if not job.paired:
        settings = dataclasses.replace(settings, own_prompts=before.settings.own_prompts)
    if not job.reads and before.settings.tokenizer:
        earlier = {
            name: getattr(before.settings, name)
            for name in ("tokenizer", "text_compat", "glossary")
        }
        settings = dataclasses.replace(settings, **earlier)
    wanted = [name for name in before.features if name not in job.features]
    direct = nameable(wanted, prints, config.version)
    pairs = Pairs(found.rows)
    result = []
    for candidate, task in zip(found.kept, tasks, strict=True):
        old, row = before.of(task.row.id), task.row
        lone = settings.own_prompts and not pairs.count(row)
        names = _names(candidate, direct, lone, config, prints)
        kept = still_true(old, names, direct)
        if "text" in wanted and not job.reads and before.spoken(row.id, row.text):
            kept |= {name: old[name] for name in ("text",) if name in old}
            held = before.rows[row.id]
            row = dataclasses.replace(
                row, tokens=held.tokens, spoken=held.spoken, language=held.language
            )
        whole = {**kept, **task.names}
        kept |= extended(old, whole)
        result.append(dataclasses.replace(task, row=row, names={**whole, **kept}, lone=lone))
    again = [
        name
        for name in OF_PROMPTS
        if name in wanted and all(n in prints for n in kind_of(config).NETWORKS[name])
    ]
    prompts = _prompts(result, job) if again else {}
    for number, task in enumerate(result):
        possible = [name for name in again if _has_inputs(name, task, prompts, config)]
        if possible:
            now = _with_prompted(task, prompts, config, prints, possible).names
            names = still_true(before.of(task.row.id), now, possible)
            result[number] = dataclasses.replace(task, names={**task.names, **names})
    return result, settings


def _tasks(found: Survey, job: Job, config: ModelConfig, prints: Mapping[str, str]) -> list[Task]:
    """The task of each accepted row, without the GPT's latents."""
    pairs = Pairs(found.rows)
    tasks = []
    for candidate, row in zip(found.kept, found.rows, strict=True):
        lone = job.own_prompts and not pairs.count(row)
        tasks.append(
            Task(
                clip=candidate.clip,
                measured=candidate.measured,
                tokens=candidate.read.tokens,
                features=candidate.features,
                codes=candidate.codes,
                row=row,
                names=_with_alignment(
                    _names(candidate, job.features, lone, config, prints),
                    candidate,
                    job,
                    config,
                    prints,
                ),
                lone=lone,
                labels=candidate.labels,
            )
        )
    return tasks


def _names(
    candidate: Candidate,
    wanted: Sequence[str],
    lone: bool,
    config: ModelConfig,
    prints: Mapping[str, str],
) -> dict[str, str]:
    """Array names of a clip: each has a hash of the array's inputs."""
    clip, measured = candidate.clip, candidate.measured
    audio = digest([candidate.sha256, clip.start, clip.end, measured.first, measured.last])
    names, of_codes = {}, kind_of(config).INPUTS
    for feature in wanted:
        if feature in of_codes:
            continue
        if feature == "text":
            names[feature] = f"text/{digest(candidate.read.tokens)[:32]}"
        elif feature == "emotion_prompt":
            if clip.emotion is not None:
                source = clip.emotion.sha256()
                names[feature] = features.array_name(feature, config, prints, source)
        elif feature == "conditioning" and lone:
            names[feature] = features.array_name(feature, config, prints, audio, half=True)
        else:
            names[feature] = features.array_name(feature, config, prints, audio)
    return names


def _with_alignment(
    names: dict[str, str],
    candidate: Candidate,
    job: Job,
    config: ModelConfig,
    prints: Mapping[str, str],
) -> dict[str, str]:
    """Adds the alignment's array name, if there is to be one."""
    if not job.aligns:
        return names
    made_of = {"codes": names["codes"], "labels": _hash(candidate.labels)}
    return names | {"alignment": features.array_name("alignment", config, prints, "", **made_of)}


def _hash(labels: Labels | None) -> str:
    return "" if labels is None else digest([array.tolist() for array in labels])


def _prompts(tasks: Sequence[Task], job: Job) -> dict[str, Task]:
    """The prompt clip of each row's latents: always the same one."""
    pairs = Pairs([task.row for task in tasks], own=True)
    by_id = {task.row.id: task for task in tasks}
    result = {}
    for task in tasks:
        rng = np.random.default_rng(int(digest([job.seed, task.row.id])[:16], 16))
        result[task.row.id] = by_id[pairs.draw(task.row, rng).id]
    return result


def _has_inputs(feature: str, task: Task, prompts: Mapping[str, Task], config: ModelConfig) -> bool:
    """Whether everything that a feature of `OF_PROMPTS` is made from is there."""
    kind, prompt = kind_of(config), prompts[task.row.id].names
    inputs = kind.INPUTS[feature]
    # Both clips together: what only one of them needs is prepared for both.
    return all(name in task.names and name in prompt for name in inputs if name != "latents")


def _with_prompted(
    task: Task,
    prompts: Mapping[str, Task],
    config: ModelConfig,
    prints: Mapping[str, str],
    wanted: Sequence[str],
) -> Task:
    """Adds the array names of latents and of the flow's mel to a task, if it has them."""
    prompt, names = prompts[task.row.id].names if wanted else {}, dict(task.names)
    if "latents" in wanted:
        made_of = {name: names[name] for name in ("text", "codes")}
        made_of |= {name: prompt[name] for name in ("conditioning", "emotion")}
        names["latents"] = features.array_name("latents", config, prints, "", **made_of)
    if "flow_mel" in wanted:
        made_of = {name: prompt[name] for name in (kind_of(config).PROMPT, "mel", "style")}
        made_of |= {"target": names["mel"]}
        # Latents are made from the codes; without them the codes themselves are named.
        coded = "latents" if "latents" in names else "codes"
        made_of |= {coded if coded == "latents" else "coded": names[coded]}
        names["flow_mel"] = features.array_name("flow_mel", config, prints, "", **made_of)
    return dataclasses.replace(task, names=names)
