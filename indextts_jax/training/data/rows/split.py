"""Which clips are held out: whole sentences, spread over the speakers.

The same sentence never lies on both sides, whoever says it: it is drawn by the hash of its words,
so that more data moves few of those that are there.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

SHARE, USUAL, LEAST = 0.02, 32, 8  # of clips; USUAL where it is at most MOST of them
MOST = 0.1


class Item(NamedTuple):
    """A clip, as far as it matters here."""

    text: str
    speaker: str
    given: str | None  # what the manifest says


def sentence_key(text: str) -> str:
    """What makes two texts the same sentence: letters and digits, in any case."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip() or text.strip()


def validation_count(clips: int) -> int:
    """How many clips are held out by default: 2 %, or 32 if these are no tenth, and 8 at least."""
    return max(round(SHARE * clips), min(USUAL, round(MOST * clips)), LEAST)


def split(items: Sequence[Item], count: int | None = None, seed: int = 0) -> list[str]:
    """`train` or `validation` for each clip.

    Where the manifest holds clips out, those and what says the same are all; else about `count`
    clips are drawn, by sentence. Of each speaker about its share is, and two clips stay at least.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(items):
        groups[sentence_key(item.text)].append(number)
    held: set[str] = set()
    if any(item.given == "validation" for item in items):
        held = {k for k, g in groups.items() if any(items[n].given == "validation" for n in g)}
    else:
        held = _drawn(items, groups, validation_count(len(items)) if count is None else count, seed)
    result = ["train"] * len(items)
    for key in held:
        for number in groups[key]:
            result[number] = "validation"
    return result


def _drawn(items: Sequence[Item], groups: dict[str, list[int]], count: int, seed: int) -> set[str]:
    total = Counter(item.speaker for item in items)
    # Rounded up: a speaker with few clips may be held out, too; `count` ends it.
    quota = {name: -(-count * clips // len(items)) for name, clips in total.items()}
    taken: Counter[str] = Counter()
    held: set[str] = set()
    order = sorted(groups, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
    for key in order:
        if taken.total() >= count:
            break
        speakers = Counter(items[number].speaker for number in groups[key])
        if any(items[number].given == "train" for number in groups[key]):
            continue
        fits = all(
            taken[name] + n <= quota[name] and total[name] - taken[name] - n >= 2
            for name, n in speakers.items()
        )
        if fits:
            held.add(key)
            taken += speakers
    return held
