"""Subtitles: which words are shown together, on which lines, and for how long.

Rules: at most two lines of 42 characters (an ideograph counts as two), 1 to 7 s, at most 17
characters a second; cut at sentences and clauses, and always at a gap of 0.7 s. A cue begins with
its first word and ends with its last; where it would be too short to be read, it stays longer, up
to the next one.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Iterator, Sequence

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
    groups = [group for run in runs for group in _groups(run, cue_words)]
    cues = []
    for number, group in enumerate(groups):
        start, end = group[0].start, group[-1].end
        following = groups[number + 1][0].start if number + 1 < len(groups) else duration
        if not cue_words:
            end = max(end, min(start + _needed(group), following))
        cues.append(Cue(start, end, _lines(group)))
    return cues


def _needed(group: Sequence[Shown]) -> float:
    """Seconds in which a cue can be read."""
    return min(LONGEST, max(SHORTEST, width(line_text(group)) / RATE))


def _groups(run: Sequence[Shown], cue_words: int) -> Iterator[list[Shown]]:
    """The cheapest way to cut words into cues, by dynamic programming."""
    best, back = [0.0], [0]
    for end in range(1, len(run) + 1):
        least, chosen = float("inf"), end - 1
        for start in range(end - 1, -1, -1):
            group = run[start:end]
            if start < end - 1 and not _fits(group, cue_words):
                break
            cost = best[start] + _cost(group, run, end)
            if cost < least:
                least, chosen = cost, start
        best.append(least)
        back.append(chosen)
    ends = [len(run)]
    while ends[-1]:
        ends.append(back[ends[-1]])
    for end in ends[-2::-1]:
        yield list(run[back[end] : end])


def _fits(group: Sequence[Shown], cue_words: int) -> bool:
    if cue_words and len(group) > cue_words:
        return False
    short = group[-1].end - group[0].start <= LONGEST
    return short and all(width(line_text(line)) <= WIDTH for line in _lines(group))


def _cost(group: Sequence[Shown], run: Sequence[Shown], end: int) -> float:
    last = end == len(run)
    following = float("inf") if last else run[end].start
    cost = _CUE
    if not last and not _SENTENCE_END.search(group[-1].text):
        cost += _CLAUSE if _CLAUSE_END.search(group[-1].text) else _WORD
    latest = max(group[-1].end, min(following, group[0].start + LONGEST))
    missing = _needed(group) - (latest - group[0].start)
    if missing > 1e-6:
        cost += _HASTY * min(1.0, missing / _needed(group) + 0.2)
    return cost + _UNEVEN * (width(line_text(group)) < 8)


def _lines(group: Sequence[Shown]) -> tuple[tuple[Shown, ...], ...]:
    """One line, or two of about the same width; after a clause if both fit."""
    if width(line_text(group)) <= WIDTH or len(group) == 1:
        return (tuple(group),)

    def cost(cut: int) -> tuple[float, float]:
        parts = [width(line_text(part)) for part in (group[:cut], group[cut:])]
        over = max(max(parts) - WIDTH, 0)
        before = group[cut - 1].text
        marked = _SENTENCE_END.search(before) or _CLAUSE_END.search(before)
        return over, abs(parts[0] - parts[1]) - 12 * bool(marked)

    cut = min(range(1, len(group)), key=cost)
    return tuple(group[:cut]), tuple(group[cut:])
