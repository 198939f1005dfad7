"""From manifests to prepared data: checks, the split, and the features that are missing.

    found = survey(clips, job, config, tokenizer)
    print(found.report.text())
    data, made = write(found, job, config, tokenizer, model)

`survey` runs no network and decides about every row; `write` makes what is not there yet, so a
second run computes nothing.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.runtime.model import Model
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.training.data import features, making
from indextts_jax.training.data.alignment import Labels
from indextts_jax.training.data.index import DataSettings
from indextts_jax.training.data.job import Job, Progress
from indextts_jax.training.data.making import Task
from indextts_jax.training.data.pairs import Pairs
from indextts_jax.training.data.prepared import Prepared, create
from indextts_jax.training.data.rows import texts
from indextts_jax.training.data.rows.survey import Candidate, Survey
from indextts_jax.utils.hashing import digest
from indextts_jax.utils.strict_data import to_data


def write(
    found: Survey,
    job: Job,
    config: ModelConfig,
    tokenizer: Tokenizer | None,
    model: Model | None = None,
    *,
    on_progress: Progress = lambda done, of, what: None,
) -> tuple[Prepared, Mapping[str, int]]:
    """Makes the features that are missing, and the index; how many of each feature were made.

    Raises:
        InputError: if a recipe needs a network and there is no model, or the directory cannot be
            written.
        Failure: if a network gives numbers that are not finite.
    """
    components = features.components_of(job.features)
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
    prints = features.fingerprints(model, components)
    if config.semantic_codec.codes > 2**16:
        raise InputError(f"semantic_codec.codes is {config.semantic_codec.codes}; at most 65,536")
    settings = DataSettings(
        features=tuple(name for name in job.features if name != "emotion_prompt"),
        tokenizer="" if tokenizer is None else tokenizer.sha256,
        text_compat=job.text_compat,
        glossary=texts.glossary_hash(job.glossary),
        config=digest(to_data(config)),
        components=tuple(f"{name}={prints[name]}" for name in components),
        sample_rate=config.mel.sample_rate,
        hop=config.mel.hop,
        own_prompts=job.own_prompts,
    )
    tasks = _tasks(found, job, config, prints)
    prompts = _prompts(tasks, job) if "latents" in job.features else {}
    tasks = [_with_latents(task, prompts, config, prints) for task in tasks]
    with create(job.dst, settings, None if tokenizer is None else tokenizer.model) as writer:
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
        for task in tasks:
            writer.add_stored(task.row, task.names)
        found.report.write(job.dst)
    return Prepared.open(job.dst), made


def _tasks(found: Survey, job: Job, config: ModelConfig, prints: Mapping[str, str]) -> list[Task]:
    """What is to be made of each row that was kept, the latents of the GPT aside."""
    pairs = Pairs(found.rows)
    tasks = []
    for candidate, row in zip(found.kept, found.rows, strict=True):
        lone = job.own_prompts and not pairs.count(row)
        tasks.append(
            Task(
                clip=candidate.clip,
                measured=candidate.measured,
                tokens=candidate.read.tokens,
                codes=candidate.codes,
                row=row,
                names=_names(candidate, lone, job, config, prints),
                lone=lone,
                labels=candidate.labels,
            )
        )
    return tasks


def _names(
    candidate: Candidate, lone: bool, job: Job, config: ModelConfig, prints: Mapping[str, str]
) -> dict[str, str]:
    """What the arrays of a clip are called: each name is a hash of what the array is made of."""
    clip, measured = candidate.clip, candidate.measured
    audio = digest([candidate.sha256, clip.start, clip.end, measured.first, measured.last])
    names = {}
    for feature in job.features:
        if feature in features.OF_CODES:
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
    if job.aligns:
        labels = candidate.labels
        made_of = {"codes": names["codes"], "labels": _hash(labels)}
        names["alignment"] = features.array_name("alignment", config, prints, "", **made_of)
    return names


def _hash(labels: Labels | None) -> str:
    return "" if labels is None else digest([array.tolist() for array in labels])


def _prompts(tasks: Sequence[Task], job: Job) -> dict[str, Task]:
    """For each row the clip whose conditioning its latents get: always the same one."""
    pairs = Pairs([task.row for task in tasks], own=True)
    by_id = {task.row.id: task for task in tasks}
    result = {}
    for task in tasks:
        rng = np.random.default_rng(int(digest([job.seed, task.row.id])[:16], 16))
        result[task.row.id] = by_id[pairs.draw(task.row, rng).id]
    return result


def _with_latents(
    task: Task, prompts: Mapping[str, Task], config: ModelConfig, prints: Mapping[str, str]
) -> Task:
    """The task with the name of its latents, where there are to be any."""
    if task.row.id not in prompts:
        return task
    prompt = prompts[task.row.id].names
    made_of = {name: task.names[name] for name in ("text", "codes")}
    made_of |= {name: prompt[name] for name in ("conditioning", "emotion")}
    name = features.array_name("latents", config, prints, "", **made_of)
    return dataclasses.replace(task, names={**task.names, "latents": name})
