"""Pairs the words of a text with the words that are spoken for them, in order.

Equal words are anchors. What is between two anchors is divided by length: `March 5, 2026` is said
as `March fifth twenty twenty six`.
"""

import bisect
import difflib
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

Span = tuple[int, int]  # of spoken words: from, to

_SMALL = 40_000  # pairs of words that are compared at once
_GRAM = 3  # words of a phrase that is an anchor in a long text
_LONGEST = 40  # spoken words of one word
_CLOSE = 60_000  # spans that are tried between two anchors, at most
_OTHER = 3.0  # letters that a word without a letter in common costs
_EMPTY = 4.0  # letters that an unspoken word costs, besides its own
_DIGIT = {True: 1.4, False: 4.5}  # letters of a digit's reading, in ideographs and in others
_SIGN = {True: 2.0, False: 6.0}  # the same of `$`, `%`, `&`
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff]")


def pair_words(source: Sequence[str], spoken: Sequence[str]) -> list[Span]:
    """The spoken words of each source word: a span, empty for a word that is not spoken.

    Spans are in order and do not overlap. Spoken words may remain between them.
    """
    spans: list[Span] = []
    written, said = list(map(_key, source)), list(map(_key, spoken))
    before = (0, 0)
    for place in itertools.chain(_anchors(written, said, 0, 0), [(len(source), len(spoken))]):
        gap = source[before[0] : place[0]], spoken[before[1] : place[1]]
        spans += [(a + before[1], b + before[1]) for a, b in _divided(*gap)]
        if place[0] < len(source):
            spans.append((place[1], place[1] + 1))
        before = place[0] + 1, place[1] + 1
    return spans


def same_word(one: str, other: str) -> bool:
    """Whether two spellings differ in nothing but case, accents and marks."""
    return _key(one) == _key(other)


def _key(word: str) -> str:
    """What two spellings of a word have in common."""
    plain = unicodedata.normalize("NFKD", word).casefold()
    return "".join(c for c in plain if c.isalnum()) or word


def _anchors(a: Sequence[str], b: Sequence[str], i: int, j: int) -> Iterator[Span]:
    """Pairs of equal words, in order; `i` and `j` are the places of `a` and `b` in the whole."""
    start = _common(a, b)
    yield from ((i + n, j + n) for n in range(start))
    a, b, i, j = a[start:], b[start:], i + start, j + start
    end = _common(a[::-1], b[::-1])
    first, second = a[: len(a) - end], b[: len(b) - end]
    if first and second:
        yield from _between(first, second, i, j)
    i, j = i + len(first), j + len(second)
    yield from ((i + n, j + n) for n in range(end))


def _between(a: Sequence[str], b: Sequence[str], i: int, j: int) -> Iterator[Span]:
    if len(a) * len(b) <= _SMALL:
        matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
        for block in matcher.get_matching_blocks():
            yield from ((i + block.a + n, j + block.b + n) for n in range(block.size))
        return
    cuts = _phrases(a, b)
    if not cuts:  # a long text of one phrase, again and again
        half = len(a) // 2, len(b) // 2
        yield from _anchors(a[: half[0]], b[: half[1]], i, j)
        yield from _anchors(a[half[0] :], b[half[1] :], i + half[0], j + half[1])
        return
    for (p, q), (r, s) in itertools.pairwise([(0, 0), *cuts, (len(a), len(b))]):
        if (r - p, s - q) != (len(a), len(b)):
            yield from _anchors(a[p:r], b[q:s], i + p, j + q)


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    pairs = enumerate(zip(a, b, strict=False))
    return next((n for n, (x, y) in pairs if x != y), min(len(a), len(b)))


def _phrases(a: Sequence[str], b: Sequence[str]) -> list[Span]:
    """Places of phrases that are in both once, the longest run of them in order."""
    places = []
    for words in (a, b):
        grams = [tuple(words[n : n + _GRAM]) for n in range(len(words) - _GRAM + 1)]
        counts = Counter(grams)
        places.append({gram: n for n, gram in enumerate(grams) if counts[gram] == 1})
    pairs = sorted((n, places[1][gram]) for gram, n in places[0].items() if gram in places[1])
    return _increasing(pairs)


def _increasing(pairs: Sequence[Span]) -> list[Span]:
    """The longest subsequence whose second members increase."""
    ends: list[int] = []  # the smallest last member of a run of each length
    runs: list[int] = []  # its pair
    previous: list[int] = []
    for number, (_, second) in enumerate(pairs):
        size = bisect.bisect_left(ends, second)
        previous.append(runs[size - 1] if size else -1)
        ends[size : size + 1] = [second]
        runs[size : size + 1] = [number]
    found, number = [], runs[-1] if runs else -1
    while number >= 0:
        found.append(pairs[number])
        number = previous[number]
    return found[::-1]


def _divided(source: Sequence[str], spoken: Sequence[str]) -> list[Span]:
    """Divides spoken words among source words, none of which is spoken as it is written."""
    if not source or not spoken:
        return [(0, 0)] * len(source)
    if len(source) == 1:
        return [(0, len(spoken))]
    wide = bool(_WIDE.search("".join(spoken)))
    expected = [_expected(word, wide) for word in source]
    if len(source) * len(spoken) * min(len(spoken), _LONGEST) > _CLOSE:
        return _by_share(expected, len(spoken))
    lengths = list(itertools.accumulate((len(_key(word)) for word in spoken), initial=0))
    letters = [set(_key(word)) for word in spoken]
    count = len(spoken)
    best = [0.0] + [float("inf")] * count
    chosen: list[list[int]] = []
    for word, size in zip(source, expected, strict=True):
        own = {c for c in _key(word) if c.isalpha()}
        now, back = [float("inf")] * (count + 1), [0] * (count + 1)
        for end in range(count + 1):
            common = not own
            for start in range(end, max(-1, end - _LONGEST - 1), -1):
                if start < end:
                    common = common or bool(own & letters[start])
                cost = abs(size - (lengths[end] - lengths[start])) + best[start]
                cost += _EMPTY if start == end else 0.0 if common else _OTHER
                if cost < now[end]:
                    now[end], back[end] = cost, start
        best = now
        chosen.append(back)
    spans, end = [], count
    for back in reversed(chosen):
        spans.append((back[end], end))
        end = back[end]
    return spans[::-1]


def _expected(word: str, wide: bool) -> float:
    """About how many letters the reading of a word has."""
    return sum(
        _DIGIT[wide] if c.isdigit() else 1.0 if c.isalpha() else _SIGN[wide]
        for c in word
        if c.isalnum() or c in "$€£¥%&@#+=°"
    )


def _by_share(expected: Sequence[float], count: int) -> list[Span]:
    """Divides `count` spoken words in proportion."""
    total = sum(expected) or 1.0
    edges = [round(count * part / total) for part in itertools.accumulate(expected, initial=0.0)]
    return list(itertools.pairwise(edges))
