"""Chooses validation clips: whole sentences, distributed over the speakers.

A sentence is never in both splits, whoever says it. Sentences are chosen by the hash of their
words, so that adding data moves few existing clips. Clips of a manifest with a smaller weight than
others only support what is to be learned, so they are not evaluated.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

SHARE, USUAL, LEAST = 0.02, 32, 8  # numbers of clips; USUAL if it is at most MOST of all
MOST = 0.1


class Item(NamedTuple):
    """The properties of a clip that matter for the split."""

    text: str
    speaker: str
    given: str | None  # from the manifest
    weight: float = 1.0  # of its manifest


def sentence_key(text: str) -> str:
    """Key for comparing sentences: letters and digits, case-folded."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip() or text.strip()


def validation_count(clips: int) -> int:
    """Default number of validation clips: 2 %, or 32 if at most a tenth, and at least 8."""
    return max(round(SHARE * clips), min(USUAL, round(MOST * clips)), LEAST)


def split(items: Sequence[Item], count: int | None = None, seed: int = 0) -> list[str]:
    """`train`, `validation` or `unused` for each clip.

    If the manifest marks validation clips, these and others with the same text are used; otherwise
    about `count` clips are chosen, by sentence. Each speaker contributes about its share, and keeps
    at least two training clips. Among clips of different weights, those of the largest one are
    chosen from; others that say a chosen sentence are unused.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(items):
        groups[sentence_key(item.text)].append(number)
    result = ["train"] * len(items)
    if any(item.given == "validation" for item in items):
        held = {k for k, g in groups.items() if any(items[n].given == "validation" for n in g)}
        for key in held:
            for number in groups[key]:
                result[number] = "validation"
        return result
    largest = max((item.weight for item in items), default=1.0)
    main = [number for number, item in enumerate(items) if item.weight == largest]
    count = validation_count(len(main)) if count is None else count
    for key in _drawn(items, groups, set(main), count, seed):
        for number in groups[key]:
            result[number] = "validation" if items[number].weight == largest else "unused"
    return result


def _drawn(
    items: Sequence[Item], groups: dict[str, list[int]], main: set[int], count: int, seed: int
) -> set[str]:
    total = Counter(items[number].speaker for number in main)
    # Rounded up, so that speakers with few clips can contribute too; `count` limits the total.
    quota = {name: -(-count * clips // len(main)) for name, clips in total.items()}
    taken: Counter[str] = Counter()
    held: set[str] = set()
    order = sorted(groups, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
    for key in order:
        if taken.total() >= count:
            break
        speakers = Counter(items[number].speaker for number in groups[key] if number in main)
        if not speakers or any(items[number].given == "train" for number in groups[key]):
            continue
        fits = all(
            taken[name] + n <= quota[name] and total[name] - taken[name] - n >= 2
            for name, n in speakers.items()
        )
        if fits:
            held.add(key)
            taken += speakers
    return held
