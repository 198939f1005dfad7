"""Cuts the pieces of a long text into segments, each synthesised in one pass."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

WORD = "▁"  # prefix of a piece that begins a word
SENTENCE_ENDS = ".!?…。！？"
CLAUSE_ENDS = ",;:，；：、"
_CLOSERS = "'\"”’)]}》」』】）"  # may follow a mark without hiding it

# Cost of a cut by its place: none after a sentence; within a clause so high that it is only chosen
# if the clause is too long for a segment.
_SENTENCE, _CLAUSE, _FORCED = 0.0, 1.0, 100.0
_SEGMENT = 2.0  # cost of each segment
_CHAINS = 16  # candidates examined at each cut
_UNEVEN = 10.0  # cost of a segment shorter than half of its neighbour

Word = list[str]


class _Cut(NamedTuple):
    place: int  # pieces before it
    cost: float


def split_segments(pieces: Sequence[str], limit: int = 120, quick: int = 0) -> list[list[str]]:
    """The pieces in runs of at most `limit`, none of them empty.

    The runs are as few as possible and cut at sentence ends, or at commas and the like if that
    makes them more even: no run is shorter than half of its neighbour if such a cut avoids it. A
    clause that is too long is cut between words, a word that is too long anywhere. A mark counts
    only at the end of a word, so `3.14` stays whole.

    Segments that begin before `quick` pieces are half as long, so that the first sound comes early.
    """
    if limit < 1:
        raise ValueError(f"a segment must hold at least one piece, got a limit of {limit}")
    if quick < 0:
        raise ValueError(f"quick pieces must be 0 or more, got {quick}")
    small = max(1, limit // 2)
    if len(pieces) <= (small if quick else limit):
        return [list(pieces)] if pieces else []

    def capacity(start: int) -> int:
        return small if start < quick else limit

    cuts = _thinned(list(_cuts(pieces, capacity)), limit // 16, capacity)
    places = _cheapest(cuts, capacity, quick)
    return [list(pieces[a:b]) for a, b in itertools.pairwise(places)]


def _cuts(pieces: Sequence[str], capacity: Callable[[int], int]) -> Iterator[_Cut]:
    """Places where the pieces may be cut, including start and end."""
    yield _Cut(0, 0.0)
    start = place = 0
    ends: list[int] = []  # of the words since the last cut
    for word in _words(pieces):
        place += len(word)
        ends.append(place)
        cost = _cost(word)
        if cost is None and place < len(pieces):
            continue
        yield from _within(start, ends, capacity(start))
        yield _Cut(place, _SENTENCE if cost is None or place == len(pieces) else cost)
        start, ends = place, []


def _within(start: int, ends: list[int], capacity: int) -> Iterator[_Cut]:
    """Cuts within a clause that is too long: between words, and in long words."""
    if ends[-1] - start <= capacity:
        return
    for end in ends:
        if end - start > capacity:
            yield from (_Cut(place, 2 * _FORCED) for place in range(start + 1, end))
        if end < ends[-1]:
            yield _Cut(end, _FORCED)
        start = end


def _thinned(cuts: list[_Cut], gap: int, capacity: Callable[[int], int]) -> list[_Cut]:
    """Drops most cuts that are closer than `gap`; of two, the cheaper one stays."""
    kept = [cuts[0]]
    for i in range(1, len(cuts) - 1):
        crowded = cuts[i].place - kept[-1].place < gap
        if not crowded:
            kept.append(cuts[i])
        elif cuts[i].cost < kept[-1].cost and len(kept) > 1:
            if cuts[i].place - kept[-2].place <= capacity(kept[-2].place):
                kept[-1] = cuts[i]
            else:
                kept.append(cuts[i])
        elif cuts[i + 1].place - kept[-1].place > capacity(kept[-1].place):
            kept.append(cuts[i])
    return [*kept, cuts[-1]]


def _cheapest(cuts: list[_Cut], capacity: Callable[[int], int], quick: int) -> list[int]:
    """The places to cut at: the cheapest chain of segments that fit, by dynamic programming.

    The innermost loop takes most of the time for a long text, so it calls no functions.
    """
    places = [cut.place for cut in cuts]
    capacities = [capacity(place) for place in places]
    # best[i, j]: cost of the best chain whose last segment runs from cut i to cut j, and the cut
    # before i. ending[j]: cost, i and length of the segments that end at cut j, the best last.
    best: dict[tuple[int, int], tuple[float, int]] = {}
    ending: list[list[tuple[float, int, int]]] = [[(0.0, -1, 0)]]
    first = 0
    for j in range(1, len(cuts)):
        while places[j] - places[first] > max(capacities[first], capacities[-1]):
            first += 1
        found = []
        for i in range(first, j):
            size = places[j] - places[i]
            if size > capacities[i]:
                continue
            least, before = float("inf"), -1
            for cost, h, other in ending[i][-_CHAINS:]:
                # Quick-start segments are uneven on purpose, and the first has no neighbour.
                if h >= 0 and places[h] >= quick:
                    small, large = (size, other) if size < other else (other, size)
                    cost += (large - small) / (100 * large)
                    if 2 * small < large:
                        cost += _UNEVEN
                if cost < least:
                    least, before = cost, h
            if before >= 0 or not i:
                total = least + _SEGMENT + cuts[j].cost
                best[i, j] = (total, before)
                found.append((total, i, size))
        ending.append(sorted(found, reverse=True))
    j = len(cuts) - 1
    i = min(ending[j], key=lambda chain: (chain[0], -chain[1]))[1]
    taken = [places[j]]
    while i >= 0:
        taken.append(places[i])
        i, j = best[i, j][1], i
    return taken[::-1]


def _words(pieces: Sequence[str]) -> list[Word]:
    words: list[Word] = []
    for piece in pieces:
        if not words or piece.startswith(WORD):
            words.append([])
        words[-1].append(piece)
    return words


def _cost(word: Word) -> float | None:
    """Cost of a cut after a word, or None if there should be no cut."""
    text = "".join(word).rstrip(_CLOSERS)
    if text.endswith(tuple(SENTENCE_ENDS)):
        return _SENTENCE
    return _CLAUSE if text.endswith(tuple(CLAUSE_ENDS)) else None
