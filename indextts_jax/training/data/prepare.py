"""From manifests to prepared data: checks, the split, and the features that are missing.

    found = survey(clips, job, config, tokenizer)
    print(found.report.text())
    data, made = write(found, job, config, tokenizer, model)

`survey` runs no network and decides about every row; `write` makes what is not there yet, so a
second run computes nothing.
"""

from collections.abc import Mapping

import numpy as np

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.runtime.model import Model
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.training.data import features, making
from indextts_jax.training.data.job import Job, Progress
from indextts_jax.training.data.making import Task
from indextts_jax.training.data.pairs import Pairs
from indextts_jax.training.data.prepared import DataSettings, Prepared, create
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
    partners = _prompts(found, job) if "latents" in job.features else {}
    tasks = [
        Task(
            clip=candidate.clip,
            measured=candidate.measured,
            tokens=candidate.read.tokens,
            codes=candidate.codes,
            row=row,
            names=_names(candidate, partners.get(row.id), job, config, prints),
        )
        for candidate, row in zip(found.kept, found.rows, strict=True)
    ]
    by_id = {task.row.id: task for task in tasks}
    with create(job.dst, settings, None if tokenizer is None else tokenizer.model) as writer:
        made = making.make(
            tasks,
            writer.shards,
            config,
            model,
            prompts={key: by_id[partner.clip.id] for key, partner in partners.items()},
            batch_seconds=job.batch_seconds,
            workers=job.workers,
            on_progress=on_progress,
        )
        for task in tasks:
            writer.add_stored(task.row, task.names)
        found.report.write(job.dst)
    return Prepared.open(job.dst), made


def _audio_key(candidate: Candidate) -> str:
    """What stands for a clip's samples."""
    clip, measured = candidate.clip, candidate.measured
    return digest([candidate.sha256, clip.start, clip.end, measured.first, measured.last])


def _prompts(found: Survey, job: Job) -> dict[str, Candidate]:
    """For each row the clip whose conditioning its latents get: always the same one."""
    pairs = Pairs(found.rows, own=True)
    candidates = {candidate.clip.id: candidate for candidate in found.kept}
    result = {}
    for row in found.rows:
        seed = int(digest([job.seed, row.id])[:16], 16)
        result[row.id] = candidates[pairs.draw(row, np.random.default_rng(seed)).id]
    return result


def _names(
    candidate: Candidate,
    prompt: Candidate | None,
    job: Job,
    config: ModelConfig,
    prints: Mapping[str, str],
) -> dict[str, str]:
    audio = _audio_key(candidate)
    names = {}
    for feature in job.features:
        if feature == "text":
            names[feature] = f"text/{digest(candidate.read.tokens)[:32]}"
        elif feature == "emotion_prompt":
            if candidate.clip.emotion is not None:
                source = candidate.clip.emotion.sha256()
                names[feature] = features.array_name(feature, config, prints, source)
        elif feature == "latents" and prompt is not None:
            names[feature] = features.array_name(
                feature,
                config,
                prints,
                audio,
                text=candidate.read.tokens,
                prompt=_audio_key(prompt),
            )
        else:
            names[feature] = features.array_name(feature, config, prints, audio)
    return names
