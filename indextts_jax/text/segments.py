"""Cuts the pieces of a long text into segments, each synthesised in one pass."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

WORD = "▁"  # prefix of a piece that begins a word
SENTENCE_ENDS = ".!?…。！？"
CLAUSE_ENDS = ",;:，；：、"
_QUOTES = ("'", '"')
_CLOSERS = "'\"”’)]}》」』】）"  # may follow a mark without hiding it

# Cost of a cut by its place: none after a sentence; within a clause so high that it is only chosen
# if the clause is too long for a segment.
_SENTENCE, _CLAUSE, _FORCED = 0.0, 1.0, 100.0
_SEGMENT = 2.0  # cost of each segment
_CHAINS = 16  # candidates examined at each cut
_UNEVEN = 10.0  # cost of a segment shorter than half of its neighbour
_HOPELESS = 2 * (_UNEVEN + 0.1)  # a chain that costs this much more than another never gets ahead

Word = list[str]

_VERBS = frozenset([
    "ADDED", "ADMITTED", "AGREED", "ANNOUNCED", "ANSWERED", "ARGUED", "ASKED", "BARKED", "BEGAN",
    "BEGGED", "BEGS", "BELLOWED", "BREATHED", "CALLED", "CHUCKLED", "COMMANDED", "COMPLAINED",
    "CONCLUDED", "CONTINUED", "CRIED", "CROAKED", "DECLARED", "DEMANDED", "ECHOED", "EXCLAIMED",
    "EXPLAINED", "GASPED", "GIGGLED", "GROANED", "GROWLED", "GRUNTED", "HISSED", "INQUIRED",
    "ENQUIRED", "INSISTED", "INTERRUPTED", "JOKED", "LAUGHED", "MOANED", "MUMBLED", "MURMURED",
    "MUTTERED", "NODDED", "OBSERVED", "OFFERED", "ORDERED", "PANTED", "PLEADED", "PROMISED",
    "PROTESTED", "QUERIED", "REMARKED", "REPEATED", "REPLIED", "REPORTED", "RESPONDED",
    "RETORTED", "ROARED", "SAID", "SAYS", "SAY", "SCOLDED", "SCREAMED", "SHOUTED", "SHRIEKED",
    "SIGHED", "SMILED", "SNAPPED", "SNARLED", "SNIFFED", "SOBBED", "SPOKE", "STAMMERED", "STATED",
    "SUGGESTED", "SWORE", "THOUGHT", "THUNDERED", "URGED", "WAILED", "WARNED", "WENT", "WEPT",
    "WHIMPERED", "WHINED", "WHISPERED", "WONDERED", "WROTE", "YELLED", "YELPED", "ASKS", "CRIES",
    "REPLIES", "ANSWERS",
])  # fmt: skip
# Words that begin a sentence, and no name: what is before them is not an initial (`plan B. Then`).
_STARTS = frozenset([
    "THE", "THEN", "HE", "SHE", "WE", "THEY", "IT", "I", "YOU", "BUT", "AND", "SO", "THIS",
    "THAT", "THESE", "THOSE", "THERE", "WHEN", "WHERE", "WHAT", "WHO", "WHY", "HOW", "IF", "AS",
    "AT", "IN", "ON", "AFTER", "BEFORE", "MY", "HIS", "HER", "OUR", "THEIR", "ITS", "NO", "NOT",
    "NOW", "NEXT",
])  # fmt: skip
_ATTRIBUTED = 5  # words within which the verb of an attribution comes
_SAYING = re.compile("[说问道喊叫答嚷吼骂叹笑哭念吩回]")
_ATTRIBUTION = 10  # ideographs within which a Chinese one comes


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


def pause_share(run: Sequence[str]) -> float:
    """How much of the usual pause follows a segment: all after a sentence, half after a clause.

    Where a clause had to be cut between words there is none.
    """
    text = "".join(run).rstrip(_CLOSERS + WORD)
    if text.endswith(tuple(SENTENCE_ENDS)):
        return 1.0
    return 0.5 if text.endswith(tuple(CLAUSE_ENDS)) else 0.0


def _cuts(pieces: Sequence[str], capacity: Callable[[int], int]) -> Iterator[_Cut]:
    """Places where the pieces may be cut, including start and end."""
    yield _Cut(0, 0.0)
    start = place = 0
    ends: list[int] = []  # of the words since the last cut
    words = _words(pieces)
    for word, cost in zip(words, _costs(words), strict=True):
        place += len(word)
        ends.append(place)
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
    # before i. ending[j]: cost, i and length of the segments that end at cut j, the best first.
    best: dict[tuple[int, int], tuple[float, int]] = {}
    ending: list[list[tuple[float, int, int]]] = [[(0.0, -1, 0)]]
    first = 0
    for j in range(1, len(cuts)):
        while places[j] - places[first] > max(capacities[first], capacities[-1]):
            first += 1
        found = []
        fit = [i for i in range(first, j) if places[j] - places[i] <= capacities[i] and ending[i]]
        bound = min((ending[i][0][0] for i in fit), default=0.0) + _HOPELESS
        for i in fit:
            if ending[i][0][0] > bound:
                continue
            size = places[j] - places[i]
            least, before = float("inf"), -1
            for cost, h, other in ending[i]:
                if cost > least:  # the costs only rise
                    break
                # Quick-start segments are uneven on purpose, and the first has no neighbour.
                if h >= 0 and places[h] >= quick:
                    small, large = (size, other) if size < other else (other, size)
                    cost += (large - small) / (100 * large)
                    if 2 * small < large:
                        cost += _UNEVEN
                if cost <= least:
                    least, before = cost, h
            if before >= 0 or not i:
                total = least + _SEGMENT + cuts[j].cost
                best[i, j] = (total, before)
                found.append((total, i, size))
        ending.append(sorted(found)[:_CHAINS])
    j = len(cuts) - 1
    i = min(ending[j], key=lambda chain: (chain[0], -chain[1]))[1]
    taken = [places[j]]
    while i >= 0:
        taken.append(places[i])
        i, j = best[i, j][1], i
    return taken[::-1]


def _words(pieces: Sequence[str]) -> list[Word]:
    """The pieces by words; a quotation mark that opens behind a mark is a word of its own."""
    words: list[Word] = []
    for piece in pieces:
        if not words or piece.startswith(WORD):
            words.append([])
        words[-1].append(piece)
    opening = _opening([_text(word) for word in words])
    parted: list[Word] = []
    for word, opens in zip(words, opening, strict=True):
        alone = opens and len(word) > 1 and word[-1] in _QUOTES and _text(word[:-1])
        parted += [word[:-1], word[-1:]] if alone else [word]
    return parted


def _text(word: Word) -> str:
    return "".join(word).lstrip(WORD)


def _costs(words: Sequence[Word]) -> list[float | None]:
    """The cost of a cut after each word, or None if there should be no cut.

    A sentence does not end at an initial (`A. B. Crane`), nor between a quotation and who says it;
    an opening quotation mark belongs to the word behind it.
    """
    texts = [_text(word) for word in words]
    opening = _opening(texts)
    costs: list[float | None] = []
    for index, text in enumerate(texts):
        cost = None if opening[index] else _cost(text)
        last = index + 1 == len(texts)
        if (
            cost is not None
            and not last
            and (_initial(texts, index) or _says(texts, index) or _introduces(texts, index))
        ):
            cost = None
        costs.append(cost)
    return costs


def _cost(text: str) -> float | None:
    text = text.rstrip(_CLOSERS)
    if text.endswith(tuple(SENTENCE_ENDS)):
        return _SENTENCE
    return _CLAUSE if text.endswith(tuple(CLAUSE_ENDS)) else None


def _opening(texts: Sequence[str]) -> list[bool]:
    """Whether each word ends in a quotation mark that opens: nothing may be cut behind it.

    English marks open where a word begins. Beside ideographs an opening mark may stand behind a
    comma or alone; marks take turns there.
    """
    found = []
    within = False
    for index, text in enumerate(texts):
        opens = False
        if "'" not in text and '"' not in text:
            found.append(False)
            continue
        for place, character in enumerate(text):
            if character not in _QUOTES:
                continue
            first, last = place == 0, place == len(text) - 1
            if not first and not last and text[place - 1].isalnum() and text[place + 1].isalnum():
                continue  # an apostrophe
            if first and not last and text[place + 1].isalnum():
                within = True
            elif (last and not first and text[place - 1].isalnum()) or (
                last and not first and text[place - 1] in SENTENCE_ENDS and within
            ):
                within = False
            else:
                within = not within
                opens = within and last
        found.append(opens and index + 1 < len(texts))
    return found


def _initial(texts: Sequence[str], index: int) -> bool:
    """Whether a word is the initial of a name: one capital with a point, before another word."""
    text = texts[index].strip("'\"(")
    if not re.fullmatch("[A-Z]\\.", text):
        return False
    following = texts[index + 1].strip("'\"(")
    if text == "I.":
        return bool(re.fullmatch("[A-Z]\\.", following))
    if following.strip(",.!?").upper() in _STARTS and not following.endswith("."):
        return False
    return following[:1].isalpha() and following[:1].isascii()


def _introduces(texts: Sequence[str], index: int) -> bool:
    """Whether a clause ends here that introduces a quotation: he said, 'Come in.'"""
    if texts[index + 1][:1] not in _QUOTES or _cost(texts[index]) != _CLAUSE:
        return False
    near = texts[max(0, index - 3) : index + 1]
    return any(w.strip("'\".,").upper() in _VERBS for w in near) or bool(
        _SAYING.search("".join(near[-2:]))
    )


def _says(texts: Sequence[str], index: int) -> bool:
    """Whether a quotation ends here and who says it follows: 'Where?' asked the boy."""
    text = texts[index]
    if text[-1:] not in _QUOTES or (len(text) < 2 and not index):
        return False
    following = texts[index + 1]
    if following[:1] in _QUOTES:
        return False
    if "\u3400" <= following[:1] <= "\u9fff":
        near = ""
        for word in texts[index + 1 : index + 1 + _ATTRIBUTION]:
            if _cost(word) is not None:
                break
            near += word
        return bool(_SAYING.search(near))
    for word in texts[index + 1 : index + 1 + _ATTRIBUTED]:
        if word.strip("'\".,!?…").upper() in _VERBS:
            return True
        if _cost(word) is not None and not re.fullmatch(r"[A-Z]\.", word):
            return False
    return False
