"""Emotion prototypes from labelled clips: one row per emotion and speaker.

A row is the mean emotion vector of a speaker's clips of that emotion; its key, used to find the
most similar speaker, is the mean of their style vectors. Nothing is trained: both are computed by
the networks that `synth` uses on prompts.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from indextts_jax.checkpoint import writing
from indextts_jax.checkpoint.provenance import Provenance
from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.config import EMOTIONS
from indextts_jax.errors import Failure, InputError, gathered
from indextts_jax.models import components
from indextts_jax.models.components import Params
from indextts_jax.runtime.model import Model
from indextts_jax.training.data.job import Progress
from indextts_jax.training.data.rows.readers import read_records
from indextts_jax.voices import analysis

NAME = "emotion_prototypes"
WORDS = "text_emotion"  # the component with its own tokenizer
COMPONENTS = ("semantic_encoder", "conditioning", "style_encoder")
COMPONENTS_IN_ORDER = (*components.COMPONENTS, *components.OPTIONAL, *components.TRAINING)
COLUMNS = ("audio", "emotion", "speaker")


@dataclasses.dataclass(frozen=True)
class Label:
    """A labelled recording."""

    audio: Path
    emotion: str  # one of `EMOTIONS`
    speaker: str


@dataclasses.dataclass(frozen=True)
class Prototypes:
    """The two matrices, with rows grouped by emotion, and the number of rows of each emotion."""

    groups: tuple[int, ...]
    params: Params  # speaker: rows x style; emotion: rows x width


def read_labels(path: Path) -> list[Label]:
    """The recordings of a table with the columns audio, emotion, and speaker if there are several.

    Raises:
        InputError: naming incomplete rows, and emotions without clips.
    """
    labels, problems = [], []
    for record in read_records(path):
        audio, emotion, speaker = (str(record.columns.get(name) or "").strip() for name in COLUMNS)
        if not audio:
            problems.append(f"{record.place}: no audio")
        elif emotion not in EMOTIONS:
            problems.append(f"{record.place}: emotion {emotion!r:.30} is not one of the eight")
        else:
            labels.append(Label(path.parent / audio, emotion, speaker))
    found = {label.emotion for label in labels}
    if missing := [name for name in EMOTIONS if name not in found]:
        problems.append(f"no clip of {', '.join(missing)}")
    if problems:
        names = ", ".join(EMOTIONS)
        raise InputError(gathered(f"in {path} (expected clips of {names})", problems), "prototypes")
    return labels


def make(
    model: Model,
    labels: Sequence[Label],
    on_progress: Progress = lambda done, of, what: None,
) -> Prototypes:
    """Computes prototypes from labelled recordings; speakers in order of first appearance.

    Raises:
        InputError: for a recording that cannot be read.
        Failure: if a network gives numbers that are not finite.
    """
    groups: dict[tuple[int, str], list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    order = list(dict.fromkeys(label.speaker for label in labels))
    for number, label in enumerate(labels, 1):
        signals = analysis.speaker_signals(label.audio, model.config)
        style = np.asarray(analysis.analyse_style(model, signals.narrow))[0]
        heard = analysis.analyse_emotion(model, label.audio).vector
        vector = np.asarray(heard)[0].astype(np.float32)
        if not (np.isfinite(style).all() and np.isfinite(vector).all()):
            raise Failure(f"{label.audio}: its vectors are not finite; remove the clip")
        groups[EMOTIONS.index(label.emotion), label.speaker].append((style, vector))
        on_progress(number, len(labels), label.audio.name[:24])
    keys = sorted(groups, key=lambda key: (key[0], order.index(key[1])))
    counts = tuple(sum(key[0] == n for key in keys) for n in range(len(EMOTIONS)))
    params = {
        name: jnp.asarray(
            np.stack([np.mean([pair[n] for pair in groups[key]], axis=0) for key in keys]),
            jnp.float32,
        )
        for n, name in enumerate(("speaker", "emotion"))
    }
    return Prototypes(counts, params)


def write(checkpoint: Checkpoint, made: Prototypes, dst: Path) -> Provenance:
    """Writes a copy of a checkpoint with these prototypes.

    Raises:
        InputError: if the destination exists, or the checkpoint is damaged.
        CheckpointError: if writing fails.
    """
    config = dataclasses.replace(
        checkpoint.config,
        emotion_prototypes=dataclasses.replace(
            checkpoint.config.emotion_prototypes, groups=made.groups
        ),
    )
    before = checkpoint.provenance
    return writing.save(
        dst,
        config=config,
        tokenizer=checkpoint.tokenizer,
        components=(
            (name, made.params if name == NAME else checkpoint.load([name])[name])
            for name in COMPONENTS_IN_ORDER
            if name == NAME or name in checkpoint.components
        ),
        dtype=before.dtype,
        sources=before.sources,
        ignored=before.ignored,
        settings=checkpoint.settings,
        emotion_tokenizer=checkpoint.emotion_tokenizer if WORDS in checkpoint.components else None,
    )
