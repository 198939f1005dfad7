"""Pieces of a long text in segments that are synthesised one by one."""

from collections.abc import Callable, Sequence

WORD = "▁"  # begins a piece that begins a word
SENTENCE_ENDS = ".!?…。！？"
CLAUSE_ENDS = ",;:，；：、"
_CLOSERS = "'\"”’)]}》」』】）"  # may follow a mark without hiding it

Word = list[str]


def split_segments(pieces: Sequence[str], limit: int = 120) -> list[list[str]]:
    """The pieces in runs of at most `limit`, none of them empty.

    What is too long is cut at sentence ends; a sentence that is still too long at commas and their
    like; then between words; and a single word wherever it must be. Neighbours are put together
    again as long as they fit. A mark counts only where a word ends, so `3.14` stays whole.
    """
    if limit < 1:
        raise ValueError(f"a segment must hold at least one piece, got a limit of {limit}")
    return _split(_words(pieces), limit, [_ends(SENTENCE_ENDS), _ends(CLAUSE_ENDS), lambda _: True])


def _words(pieces: Sequence[str]) -> list[Word]:
    words: list[Word] = []
    for piece in pieces:
        if not words or piece.startswith(WORD):
            words.append([])
        words[-1].append(piece)
    return words


def _ends(marks: str) -> Callable[[Word], bool]:
    """Whether a word ends in one of the marks, closing quotes and brackets aside."""
    return lambda word: "".join(word).rstrip(_CLOSERS).endswith(tuple(marks))


def _split(words: list[Word], limit: int, levels: list[Callable[[Word], bool]]) -> list[list[str]]:
    """Segments of the words, cut at the first of the levels that makes them short enough."""
    pieces = [piece for word in words for piece in word]
    if len(pieces) <= limit:
        return [pieces] if pieces else []
    if not levels:
        return [pieces[i : i + limit] for i in range(0, len(pieces), limit)]
    groups: list[list[Word]] = [[]]
    for word in words:
        groups[-1].append(word)
        if levels[0](word):
            groups.append([])
    return _pack([part for group in groups for part in _split(group, limit, levels[1:])], limit)


def _pack(parts: list[list[str]], limit: int) -> list[list[str]]:
    """Neighbours put together, from the left, as long as they fit."""
    packed: list[list[str]] = []
    for part in parts:
        if packed and len(packed[-1]) + len(part) <= limit:
            packed[-1] = packed[-1] + part
        else:
            packed.append(part)
    return packed
