"""Cuts a text of version 2.5 into segments, by the rules of version 2."""

import itertools
import re
from collections.abc import Iterator, Sequence

from indextts_jax.errors import InputError
from indextts_jax.text.segments import WORD, split_segments
from indextts_jax.text.v25.markup import SPAN
from indextts_jax.text.v25.tokenizer import RanksTokenizer

LEAST = 8  # tokens of a segment besides the language: half of them hold any one character
# Characters that begin a word of their own: those of scripts without spaces, and emoji.
_ALONE = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff"
    "\U0001f000-\U0001faff\U00020000-\U0003ffff]"
)
_CLOSING = frozenset("，。！？、；：）】》」』〉〕〗〙〛々ーゝヽ")  # except these, which end one
# Marks of other scripts, as the marks that version 2 cuts at.
_MARKS = str.maketrans("؟۔।॥։።،؛", "?.....,;")

Span = tuple[int, int]  # bytes before its start and before its end


def cut_segments(
    text: str, tokenizer: RanksTokenizer, tag: str, limit: int, quick: int = 0
) -> list[str]:
    """The text in segments of at most `limit` tokens, the language's tag included.

    Cut as in version 2: as few as possible, at sentence ends or at commas, of even length. A
    reading between special tokens is never cut. Segments that begin before `quick` tokens are half
    as long, if that cuts no reading.

    Raises:
        InputError: for a limit below `LEAST`, or a reading that is longer than a segment.
    """
    budget = limit - tokenizer.count(tag)
    if budget < LEAST:
        raise InputError(
            f"segment_tokens must be at least {LEAST + limit - budget} in this language, "
            f"got {limit}",
            "segment_tokens",
        )
    spans = list(_spans(text, tokenizer, budget))
    tokens = tokenizer.spelled_bytes(tokenizer.encode(text))
    for size, early in [(budget, quick), *((size, 0) for size in range(budget, LEAST // 2, -1))]:
        pieces = list(_pieces(text, tokens, spans, size // 2 if early else size))
        counts = map(len, split_segments(pieces, size, early))
        parts = _slices(tokens, [0, *itertools.accumulate(counts)], spans)
        # By itself, a part may have a token more than within the text: then a smaller size.
        if parts is not None and all(tokenizer.count(tag + part) <= limit for part in parts):
            return [part for part in parts if part]
    raise InputError(f"a reading in {text:.60} cannot be kept within a segment of {limit} tokens")


def _spans(text: str, tokenizer: RanksTokenizer, budget: int) -> Iterator[Span]:
    """The readings between special tokens, which are not cut."""
    for match in SPAN.finditer(text):
        if (length := tokenizer.count(match[0])) > budget:
            raise InputError(
                f"the reading {match[0]:.60} has {length} tokens; a segment holds {budget}"
            )
        start = len(text[: match.start()].encode())
        yield start, start + len(match[0].encode())


def _slices(
    tokens: Sequence[bytes], ends: Sequence[int], spans: Sequence[Span]
) -> list[str] | None:
    """The text between the cuts, or None if one is within a reading."""
    parts = [b"".join(tokens[start:end]) for start, end in itertools.pairwise(ends)]
    places = set(itertools.accumulate(map(len, parts)))
    if any(not places.isdisjoint(range(start + 1, end)) for start, end in spans):
        return None
    words = [part.decode() for part in parts]
    words[1:] = [part.lstrip() for part in words[1:]]  # no spaces at the cuts
    words[:-1] = [part.rstrip() for part in words[:-1]]
    return words


def _pieces(text: str, tokens: Sequence[bytes], spans: Sequence[Span], size: int) -> Iterator[str]:
    """The tokens as pieces for `split_segments`: the first of each word has a word mark.

    A word of more than `size` tokens gets a mark at each character, so that none is cut in two.
    """
    data = text.encode()
    within = iter(spans)
    span = next(within, None)
    place = 0
    word: list[tuple[str, bool]] = []  # what a token shows, and whether a character begins there
    for token in tokens:
        while span and span[1] <= place:
            span = next(within, None)
        inside = span is not None and span[0] < place
        begins = not inside and not 0x80 <= token[0] < 0xC0
        first = data[place : place + 4].decode(errors="ignore")[:1] if begins else ""
        if word and (first == " " or (_ALONE.match(first) and first not in _CLOSING)):
            yield from _marked(word, size)
            word = []
        # A mark within a reading ends no sentence.
        closed = span is None or not span[0] <= place < span[1] - len(token)
        shown = token.decode(errors="replace").translate(_MARKS).lstrip(" ") if closed else ""
        word.append((shown, begins))
        place += len(token)
    yield from _marked(word, size)


def _marked(word: Sequence[tuple[str, bool]], size: int) -> Iterator[str]:
    for index, (shown, begins) in enumerate(word):
        yield WORD + shown if not index or (begins and len(word) > size) else shown
