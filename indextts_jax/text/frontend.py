"""From a text to segments of text tokens, each with the silence that follows it."""

import dataclasses
import math
import re
import unicodedata
from collections.abc import Iterator

from indextts_jax.errors import InputError
from indextts_jax.text.duration import Duration, duration
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.normalize import language_of, normalise
from indextts_jax.text.pauses import split_pauses
from indextts_jax.text.reference.normalize import normalise_as_reference
from indextts_jax.text.reference.segments import split_as_reference
from indextts_jax.text.segments import WORD, split_segments
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.text.unknown import Unknown, find_unknown

_SHORT = 16  # pieces; without a full stop after a text this short, the model may not stop
_ENDED = re.compile(r"""[.!?…,]['"]*\s*$""")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextSettings:
    """How a text is normalised and cut into segments."""

    compat: bool = False  # as the PyTorch reference does, errors included
    segment_tokens: int = 120  # at most
    quick_tokens: int = 0  # segments that begin before this many tokens are half as long
    pause: float = 0.2  # seconds of silence between segments
    glossary: Glossary | None = None
    strict: bool = False  # reject pieces that the tokenizer does not know

    def __post_init__(self) -> None:
        if self.segment_tokens < 1:
            raise InputError(
                f"segment_tokens must be at least 1, got {self.segment_tokens}", "segment_tokens"
            )
        if self.quick_tokens < 0:
            raise InputError(
                f"quick_tokens must be 0 or more, got {self.quick_tokens}", "quick_tokens"
            )
        if not 0 <= self.pause < float("inf"):
            raise InputError(f"the pause must be 0 s or more, got {self.pause}")


@dataclasses.dataclass(frozen=True)
class Spoken:
    """One segment of a script."""

    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    pause: float  # seconds of silence that follow

    @property
    def text(self) -> str:
        """The text that the pieces spell."""
        return "".join(self.pieces).replace(WORD, " ").strip()

    @property
    def duration(self) -> Duration:
        """The estimated duration."""
        return duration(self.text)

    def most_codes(self, codes_per_second: int) -> int:
        """Codes that only a runaway exceeds: three times a slow speaker's time, plus 3 s."""
        return math.ceil(codes_per_second * (3 * self.duration.most + 3))


@dataclasses.dataclass(frozen=True)
class Script:
    """A text as it will be read."""

    normalised: str
    segments: tuple[Spoken, ...]
    lead: float  # seconds of silence before the first segment
    unknown: tuple[Unknown, ...]
    warnings: tuple[str, ...]  # one line each, without the unknown pieces

    @property
    def known(self) -> bool:
        """Whether the tokenizer knows at least one piece that can be spoken."""
        unknown = {item.piece for item in self.unknown}
        pieces = {piece.strip(WORD) for segment in self.segments for piece in segment.pieces}
        return any(sayable(piece) for piece in pieces - unknown)


@dataclasses.dataclass(frozen=True)
class TextFrontend:
    """Prepares texts for one tokenizer. Calls share no state: threads may share it.

    script = TextFrontend(tokenizer).prepare("Good morning. [pause 0.8s] It is 7:05.")
    """

    tokenizer: Tokenizer
    settings: TextSettings = dataclasses.field(default_factory=TextSettings)

    def prepare(self, text: str) -> Script:
        """The script of a text; without speakable text it has no segments.

        Raises:
            InputError: for an invalid pause, a text that is not Unicode or, with `strict`, pieces
            that
                the tokenizer does not know, each with its place.
        """
        check_unicode(text)
        lead, parts = 0.0, []
        normalised: list[str] = []
        warnings: list[str] = []
        usual = language_of(text)
        for part in split_pauses(text):
            said, noticed = self._normalise(part.text, usual)
            warnings += noticed
            pieces = self._pieces(said) if sayable(said) else []
            if not pieces and self.settings.compat and said.strip():
                pieces = self._pieces(said)
            if pieces:
                normalised.append(said)
                parts.append((pieces, [part.pause]))
            elif part.pause is not None and parts:
                parts[-1][1].append(part.pause)
            elif part.pause is not None:
                lead += part.pause
        segments = tuple(self._segments(parts))
        unknown = find_unknown(text, self.tokenizer, [s.pieces for s in segments])
        if unknown and self.settings.strict:
            shown = ", ".join(map(str, unknown[:8])) + (" ..." if len(unknown) > 8 else "")
            raise InputError(f"the tokenizer does not know {shown}")
        return Script(" ".join(normalised), segments, lead, unknown, tuple(dict.fromkeys(warnings)))

    def _normalise(self, text: str, usual: str | None) -> tuple[str, list[str]]:
        glossary = self.settings.glossary
        if self.settings.compat:
            # The reference passes a single character to the tokenizer unchanged.
            plain = len(text.strip()) == 1
            return (text if plain else normalise_as_reference(text, glossary)), []
        words, warnings = normalise(
            text, glossary, "en" if usual == "en" else "zh" if usual else None
        )
        return words, list(warnings)

    def _pieces(self, words: str) -> list[str]:
        pieces = self.tokenizer.pieces(words)
        if self.settings.compat:
            return pieces
        ended = with_full_stop(words, len(pieces))
        return pieces if ended == words else self.tokenizer.pieces(ended)

    def _segments(self, parts: list[tuple[list[str], list[float | None]]]) -> Iterator[Spoken]:
        settings, before = self.settings, 0
        cut = split_as_reference if settings.compat else split_segments
        for pieces, pauses in parts:
            quick = max(0, settings.quick_tokens - before)
            runs = cut(pieces, settings.segment_tokens, quick)
            before += len(pieces)
            asked = sum(pause for pause in pauses if pause is not None)
            behind = asked if pauses[0] is not None else 0.0
            for index, run in enumerate(runs, 1):
                pause = settings.pause if index < len(runs) else behind
                yield Spoken(tuple(self.tokenizer.ids(run)), tuple(run), pause)


def with_full_stop(words: str, tokens: int) -> str:
    """The words of a text of this many tokens, ended by a full stop if they are few."""
    return words if tokens > _SHORT or _ENDED.search(words) else words + "."


def sayable(text: str) -> bool:
    """Whether there is anything besides spaces and punctuation."""
    return any(unicodedata.category(c)[0] not in "PZC" for c in text)


def check_unicode(text: str) -> None:
    """Raises InputError for a text that cannot be encoded in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the text is not Unicode at character {error.start + 1}") from error
