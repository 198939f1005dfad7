"""Chooses the heads of a GPT that follow the text, from sentences that it speaks itself."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from indextts_jax.checkpoint.alignment import ScoredHead
from indextts_jax.engine.acoustic import condition_rows
from indextts_jax.engine.decoding import search_line
from indextts_jax.engine.delivery import QueuedSegment, ScriptRequest
from indextts_jax.engine.parts import judge
from indextts_jax.engine.request import Request
from indextts_jax.engine.seeds import segment_keys
from indextts_jax.engine.settings import Settings, max_codes_of
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import Failure
from indextts_jax.runtime import stages
from indextts_jax.runtime.buckets import bucket, pad
from indextts_jax.runtime.model import Model
from indextts_jax.timings.heads import head_scores
from indextts_jax.timings.words import sounding_pieces
from indextts_jax.utils.stopwatch import Clock

HEADS = 8  # that are chosen
FEWEST = 4  # segments that must have been spoken without faults
LEAST = 0.05  # the score of the best head below which nothing follows the text

SENTENCES = (
    "The quick brown fox jumps over the lazy dog, and nobody in the village seems to mind.",
    "Please put the blue cup on the table before you open the window.",
    "Yesterday evening we walked along the river until it was too dark to see the water.",
    "My brother writes long letters, but he never sends any of them.",
    "When the train arrived at last, most of the passengers had already gone home.",
    "Good morning, how did you sleep, and what would you like for breakfast?",
    "There is a small garden behind the house where my grandmother grows tomatoes.",
    "If you follow this road for another mile, you will come to an old stone bridge.",
    "今天的天气很好，我们一起去公园散步吧。",
    "他每天早上都要喝一杯热茶，然后才开始工作。",
    "这本书讲的是一个小女孩和她的猫的故事。",
    "请把窗户打开，让新鲜空气进来。",
)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The best heads, and how many segments they were chosen with."""

    heads: tuple[ScoredHead, ...]
    segments: int


def calibrate(
    tts: IndexTTS,
    requests: Sequence[Request],
    count: int = HEADS,
    on_sentence: Callable[[int, int], None] = lambda done, of: None,
) -> Calibration:
    """The `count` best heads, by the mean of their scores over the segments of requests.

    Segments with faults, and texts that the tokenizer does not know, are left out.

    Raises:
        Failure: if fewer than `FEWEST` segments are left, or no head follows the text.
    """
    model, found = tts.model, []
    for number, request in enumerate(requests):
        on_sentence(number, len(requests))
        settings = request.settings or tts.settings
        script = tts.script(request.text, settings, request.language)
        if not script.unknown:
            found += _segment_scores(model, tts.prepared(request)(Clock()), settings)
    on_sentence(len(requests), len(requests))
    gpt = model.config.gpt
    return chosen_heads(found, (gpt.layers, gpt.heads), count)


def chosen_heads(
    found: Sequence[Float[np.ndarray, " k"]], shape: tuple[int, int], count: int
) -> Calibration:
    """The best heads by the mean of their scores, which are given by segment.

    `shape` is the number of layers and of heads in each. Heads with less than a third of the best
    score are left out.

    Raises:
        Failure: as `calibrate`.
    """
    if len(found) < FEWEST:
        raise Failure(
            f"{len(found)} segments were spoken without faults; expected at least {FEWEST}: other "
            "sentences, another voice or another seed may help"
        )
    scores = np.mean(found, axis=0).reshape(shape)
    best = np.argsort(-scores, axis=None, kind="stable")[:count]
    chosen = tuple(
        ScoredHead(layer=layer, head=head, score=round(float(scores[layer, head]), 4))
        for layer, head in (divmod(int(place), shape[1]) for place in best)
        if scores[layer, head] >= max(LEAST, scores.max() / 3)
    )
    if not chosen:
        raise Failure(
            f"no head of this GPT follows the text: the best score is {scores.max():.3f}, expected "
            f"at least {LEAST}"
        )
    return Calibration(chosen, len(found))


def _segment_scores(model: Model, request: ScriptRequest, settings: Settings) -> list[np.ndarray]:
    """The scores of all heads for each segment that has no faults."""
    gpt = model.config.gpt
    every = tuple(itertools.product(range(gpt.layers), range(gpt.heads)))
    sampling = settings.sampling_up_to(max_codes_of(model, settings))
    found = []
    for index, spoken in enumerate(request.script.segments):
        queued = QueuedSegment(0, index)
        key = segment_keys(queued.seed([request]), index)[0]
        line = queued.line([request])
        ids, truncated = search_line(model, line, sampling, key)
        codes, faults, _ = judge(model, spoken, ids, 0, settings, truncated=truncated)
        if faults or not len(codes):
            continue
        padded = pad(codes[None].astype(np.int32), bucket(len(codes), model.buckets.codes))
        conditions = condition_rows(model, [line])
        attention = stages.code_attention(
            model, *conditions.common, padded, conditions.languages, heads=every
        )
        seen = np.asarray(attention)[0, :, : len(codes), : len(line.tokens)]
        found.append(head_scores(seen, sounding_pieces(spoken.pieces)))
    return found
