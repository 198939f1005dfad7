"""Decoding in plain Python, one sequence at a time, in float64: what the loops are held against.

`model(history)` gives logits for a list of codes. Written from the description of the reference
alone, with lists where the loops have arrays.
"""

import numpy as np


def softmax(x):
    weights = np.exp(x - np.max(x))
    return weights / weights.sum()


def log_softmax(x):
    shifted = x - np.max(x)
    return shifted - np.log(np.exp(shifted).sum())


def processed(scores, history, settings, start_code):
    """Scores of one sequence after all processors."""
    scores, size = scores.copy(), len(scores)
    keep = 1 if settings.beams == 1 else 2
    for code in {1, start_code, *history}:
        penalty = settings.repetition_penalty
        scores[code] = scores[code] * penalty if scores[code] < 0 else scores[code] / penalty
    if settings.typical_sampling:
        logs = log_softmax(scores)
        distance = np.abs(-logs + (np.exp(logs) * logs).sum())
        order = np.argsort(distance, kind="stable")
        last = min(int((np.cumsum(softmax(scores)[order]) < settings.typical_mass).sum()), size - 1)
        for rank, code in enumerate(order):
            if rank >= keep and distance[code] > distance[order[last]]:
                scores[code] = -np.inf
    if settings.sample:
        scores = scores / settings.temperature
        if settings.top_k:
            least = np.sort(scores)[-min(max(settings.top_k, keep), size)]
            scores[scores < least] = -np.inf
        if settings.top_p < 1:
            order, held = np.argsort(scores, kind="stable"), 0.0
            chances = softmax(scores)
            for code in order[: size - keep]:
                held += chances[code]
                if held <= 1 - settings.top_p:
                    scores[code] = -np.inf
    return scores


def single(model, settings, start_code, stop_code, noise=None):
    """Codes with the stop code, where it came."""
    history = []
    while len(history) < settings.max_codes:
        scores = processed(model(history).astype(np.float64), history, settings, start_code)
        if settings.sample:
            scores = softmax(scores) / noise[len(history)]
        history.append(int(np.argmax(scores)))
        if history[-1] == stop_code:
            break
    return history


class Store:
    """The hypotheses of one sequence."""

    def __init__(self, size, length_penalty):
        self.size, self.length_penalty = size, length_penalty
        self.entries, self.worst = [], 1e9

    def add(self, codes, total, length):
        score = total / length**self.length_penalty
        if len(self.entries) < self.size or score > self.worst:
            self.entries.append((score, codes))
            if len(self.entries) > self.size:
                order = sorted((score, place) for place, (score, _) in enumerate(self.entries))
                del self.entries[order[0][1]]
                self.worst = order[1][0]
            else:
                self.worst = min(self.worst, score)

    def done(self, best, length):
        return len(self.entries) == self.size and self.worst >= best / length**self.length_penalty


def best_with_beams(model, settings, start_code, stop_code, noise=None):
    """Codes with the stop code, where it came."""
    count, store = settings.beams, Store(settings.beams, settings.length_penalty)
    beams = [([], 0.0)] + [([], -1e9)] * (count - 1)
    done = False
    while not done and len(beams[0][0]) < settings.max_codes:
        length = len(beams[0][0]) + 1
        totals = np.concatenate(
            [
                processed(
                    log_softmax(model(history).astype(np.float64)), history, settings, start_code
                )
                + total
                for history, total in beams
            ]
        )
        size = len(totals) // count
        if settings.sample:
            chances = softmax(totals).astype(np.float32)
            drawable = [i for i in range(len(totals)) if chances[i] > 0]
            drawn = sorted(drawable, key=lambda i: -chances[i] / noise[length - 1][i])
            rest = [i for i in range(len(totals)) if chances[i] == 0]
            drawn += sorted(rest, key=lambda i: -totals[i])  # any order would do
            chosen = drawn[: 2 * count]
        else:
            chosen = range(len(totals))
        chosen = sorted(chosen, key=lambda i: -totals[i])[: 2 * count]
        following = []
        for rank, i in enumerate(chosen):
            history, code = beams[i // size][0], i % size
            if code == stop_code:
                if rank < count:
                    store.add(history, totals[i], length)
            else:
                following.append(([*history, code], totals[i]))
            if len(following) == count:
                break
        beams = following
        done = store.done(totals[chosen[0]], length)
    if not done:
        for history, total in beams:
            store.add(history, total, len(history))
    codes = sorted(store.entries, key=lambda entry: entry[0])[-1][1]
    return codes + [stop_code] * (len(codes) < settings.max_codes)
