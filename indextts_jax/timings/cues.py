"""Subtitles: which words are shown together, on which lines, and for how long.

Rules: at most two lines of 42 characters (an ideograph counts as two), 1 to 7 s, at most 17
characters a second; cut at sentences and clauses, and always at a gap of 0.7 s. A cue begins with
its first word and ends with its last; where it would be too short to be read, it stays longer, up
to the next one.
"""

import bisect
import dataclasses
import itertools
import re
import unicodedata
from collections.abc import Sequence

from indextts_jax.text.pauses import pause_marks
from indextts_jax.timings.words import Word

LINES, WIDTH = 2, 42
SHORTEST, LONGEST = 1.0, 7.0  # seconds
RATE = 17.0  # characters a second
GAP = 0.7  # seconds of silence at which a cue ends
_SENTENCE_END = re.compile(r"[.!?。！？…][^\w\s]*$")
_CLAUSE_END = re.compile(r"[,;:，；：、—–][^\w\s]*$")
_CUE = 1.0  # costs: of a cue
_CLAUSE, _WORD = 0.6, 1.5  # of ending one at a clause, or between two words
_HASTY = 2.0  # of a cue that cannot be shown long enough to be read
_UNEVEN = 0.3  # of a cue of a single short word
_NEAR = 8  # words from the middle at which a line may end


@dataclasses.dataclass(frozen=True)
class Shown:
    """A word with the marks around it, as it is shown."""

    word: Word
    text: str
    spaced: bool  # a space comes before it

    @property
    def start(self) -> float:
        """Seconds."""
        assert self.word.start is not None
        return self.word.start

    @property
    def end(self) -> float:
        """Seconds."""
        assert self.word.end is not None
        return self.word.end


@dataclasses.dataclass(frozen=True)
class Cue:
    """What is shown at once."""

    start: float  # seconds
    end: float
    lines: tuple[tuple[Shown, ...], ...]

    @property
    def words(self) -> tuple[Shown, ...]:
        """The words of all lines."""
        return tuple(word for line in self.lines for word in line)

    @property
    def text(self) -> str:
        """The lines, with a line end between them."""
        return "\n".join(map(line_text, self.lines))


def line_text(words: Sequence[Shown]) -> str:
    """The words of a line with their spaces."""
    return "".join(" " * (word.spaced and n > 0) + word.text for n, word in enumerate(words))


def width(text: str) -> int:
    """Characters of a text, wide ones twice."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shown_words(text: str, words: Sequence[Word]) -> list[Shown]:
    """The words that have times, each with the marks written around it."""
    plain = list(text)
    for start, end in pause_marks(text):
        plain[start:end] = " " * (end - start)
    text = "".join(plain)
    found = []
    behind = 0  # where the word before ends, with its marks
    spaced = False
    for number, word in enumerate(words):
        limit = words[number + 1].char_start if number + 1 < len(words) else len(text)
        start, end = word.char_start, word.char_end
        while start > behind and not text[start - 1].isspace():
            start -= 1
        while end < limit and not text[end].isspace() and not _opens(text, end, limit):
            end += 1
        spaced = spaced or any(map(str.isspace, text[behind:start]))
        behind = end
        if word.start is not None:
            found.append(Shown(word, text[start:end], spaced))
            spaced = False
    return found


def _opens(text: str, place: int, limit: int) -> bool:
    """Whether a mark belongs to the word behind it."""
    return text[place] in "([{<“‘«（《「『【" and not any(map(str.isspace, text[place:limit]))


def cut_cues(text: str, words: Sequence[Word], duration: float, cue_words: int = 0) -> list[Cue]:
    """The cues of a text in a sound of `duration` seconds.

    With `cue_words` they have at most this many words, and end with their last word.
    """
    runs: list[list[Shown]] = []
    for shown in shown_words(text, words):
        if not runs or shown.start - runs[-1][-1].end >= GAP:
            runs.append([])
        runs[-1].append(shown)
    groups = [
        (run, start, end)
        for run in map(_Run, runs)
        for start, end in itertools.pairwise(_cuts(run, cue_words))
    ]
    cues = []
    for number, (run, first, last) in enumerate(groups):
        start, end = run.words[first].start, run.words[last - 1].end
        following = duration
        if number + 1 < len(groups):
            after, place, _ = groups[number + 1]
            following = after.words[place].start
        if not cue_words:
            end = max(end, min(start + run.needed(first, last), following))
        edges = (first, run.line_end(first, last), last)
        lines = (tuple(run.words[a:b]) for a, b in itertools.pairwise(edges) if a < b)
        cues.append(Cue(start, end, tuple(lines)))
    return cues


class _Run:
    """Words without a gap between them. A group is a range of them: from, to."""

    def __init__(self, words: Sequence[Shown]):
        self.words = words
        self._spaces = [int(word.spaced) for word in words]
        sizes = (space + width(word.text) for space, word in zip(self._spaces, words, strict=True))
        self._places = list(itertools.accumulate(sizes, initial=0))
        # What a cut behind a word costs; words need their patterns once.
        self.costs = [_cut_cost(word.text) for word in words]

    def width(self, start: int, end: int) -> int:
        """The width of a line."""
        return self._places[end] - self._places[start] - self._spaces[start]

    def needed(self, start: int, end: int) -> float:
        """Seconds in which a group can be read."""
        return min(LONGEST, max(SHORTEST, self.width(start, end) / RATE))

    def fits(self, start: int, end: int) -> bool:
        """Whether a group can be shown at once."""
        if self.words[end - 1].end - self.words[start].start > LONGEST:
            return False
        cut = self.line_end(start, end)
        return self.width(start, cut) <= WIDTH and (cut == end or self.width(cut, end) <= WIDTH)

    def line_end(self, start: int, end: int) -> int:
        """Where the first line ends: of two about equally wide, after a clause if both fit."""
        if self.width(start, end) <= WIDTH or end - start == 1:
            return end

        def cost(cut: int) -> tuple[int, int]:
            first, second = self.width(start, cut), self.width(cut, end)
            over = max(first - WIDTH, second - WIDTH, 0)
            return over, abs(first - second) - 12 * (self.costs[cut - 1] < _WORD)

        half = (self._places[start] + self._places[end]) / 2
        middle = bisect.bisect_left(self._places, half, start + 1, end)
        near = range(max(start + 1, middle - _NEAR), min(end, middle + _NEAR))
        return min(near, key=cost)

    def cost(self, start: int, end: int) -> float:
        """What a group costs as a cue."""
        last = end == len(self.words)
        begin, stop = self.words[start].start, self.words[end - 1].end
        latest = stop if last else max(stop, min(self.words[end].start, begin + LONGEST))
        needed = self.needed(start, end)
        missing = needed - (latest - begin)
        cost = _CUE + (0.0 if last else self.costs[end - 1])
        if missing > 1e-6:
            cost += _HASTY * min(1.0, missing / needed + 0.2)
        return cost + _UNEVEN * (self.width(start, end) < 8)


def _cut_cost(text: str) -> float:
    if _SENTENCE_END.search(text):
        return 0.0
    return _CLAUSE if _CLAUSE_END.search(text) else _WORD


def _cuts(run: _Run, cue_words: int) -> list[int]:
    """Where cues begin, and the end: the cheapest way, by dynamic programming."""
    best, back = [0.0], [0]
    for end in range(1, len(run.words) + 1):
        least, chosen = float("inf"), end - 1
        for start in range(end - 1, -1, -1):
            too_many = cue_words and end - start > cue_words
            if start < end - 1 and (too_many or not run.fits(start, end)):
                break
            cost = best[start] + run.cost(start, end)
            if cost < least:
                least, chosen = cost, start
        best.append(least)
        back.append(chosen)
    ends = [len(run.words)]
    while ends[-1]:
        ends.append(back[ends[-1]])
    return ends[::-1]
