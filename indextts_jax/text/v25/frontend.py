"""From a text to segments of text tokens in version 2.5, each with its language."""

import dataclasses
from collections.abc import Iterator

from indextts_jax.errors import InputError
from indextts_jax.text.duration import Duration
from indextts_jax.text.frontend import (
    Script,
    Spoken,
    TextSettings,
    check_unicode,
    sayable,
    with_full_stop,
)
from indextts_jax.text.pauses import split_pauses
from indextts_jax.text.unknown import located
from indextts_jax.text.v25.as_reference import read_as_reference, split_as_reference
from indextts_jax.text.v25.duration import spoken_duration
from indextts_jax.text.v25.languages import (
    AUTO,
    detect_language,
    language_code,
    language_row,
    language_tag,
)
from indextts_jax.text.v25.markup import unreadable
from indextts_jax.text.v25.reading import read_words
from indextts_jax.text.v25.segments import cut_segments
from indextts_jax.text.v25.tokenizer import RanksTokenizer

POSITIONS = 600  # text tokens that the published model has positions for, besides start and stop


@dataclasses.dataclass(frozen=True)
class TaggedSpoken(Spoken):
    """One segment of a script, with its language.

    `ids` begin with the language's tag. Like the reference's they may contain 0 (a `!` by itself),
    which the GPT's prefix leaves out, but not the 1 that the reference adds at the end and replaces
    in the prefix.
    """

    words: str  # what the ids spell after the tag
    language: int  # row of the model's table of languages

    @property
    def text(self) -> str:
        """The text that the ids spell, with special tokens, without the tag."""
        return self.words.strip()

    @property
    def duration(self) -> Duration:
        """The estimated duration."""
        return spoken_duration(self.words)


@dataclasses.dataclass(frozen=True)
class TaggedScript(Script):
    """A text as it will be read, with its language."""

    language: str  # its code

    @property
    def known(self) -> bool:
        """Whether there is a character besides signs that the tokenizer does not know."""
        unknown = {item.piece for item in self.unknown}
        return any(sayable(c) for s in self.segments for c in set(s.text) - unknown)


@dataclasses.dataclass(frozen=True)
class MultilingualFrontend:
    """Prepares texts for one tokenizer. Calls share no state: threads may share it.

    script = MultilingualFrontend(tokenizer, language="es").prepare("¿Qué hora es?")

    Chinese and English are read and cut as in version 2. Other languages are read as the reference
    reads them, and cut as in version 2; with `settings.compat` all is as in the reference.
    """

    tokenizer: RanksTokenizer
    settings: TextSettings = dataclasses.field(default_factory=TextSettings)
    language: str = AUTO
    positions: int = POSITIONS  # most text tokens of a segment, start and stop not counted

    def __post_init__(self) -> None:
        language_code(self.language, compat=self.settings.compat)
        if self.settings.compat and self.settings.quick_tokens:
            raise InputError(
                "quick_tokens has no effect with text_compat: IndexTTS-2.5 ignores it",
                "quick_tokens",
                "text_compat",
            )

    def prepare(self, text: str) -> TaggedScript:
        """The script of a text; without speakable text it has no segments.

        With `compat` an empty text is one segment, as in the reference.

        Raises:
            InputError: for a text whose language cannot be detected, an invalid pause, a text that
                is not Unicode, Japanese without its packages, or, with `strict`, characters that
                the tokenizer does not know, each with its place.
        """
        check_unicode(text)
        compat = self.settings.compat
        parts = split_pauses(text)
        code = language_code(self.language, compat=compat)
        if code == AUTO:
            code = detect_language(" ".join(part.text for part in parts))
        lead, read = 0.0, []
        warnings: list[str] = []
        for part in parts:
            said, noticed = self._read(part.text, code)
            warnings += noticed
            if sayable(said) or (compat and (said.strip() or len(parts) == 1)):
                read.append((said, [part.pause]))
            elif part.pause is not None and read:
                read[-1][1].append(part.pause)
            elif part.pause is not None:
                lead += part.pause
        segments = tuple(self._segments(read, code))
        unknown = located(text, (c for s in segments for c in self.tokenizer.unknown(s.words)))
        if unknown and self.settings.strict:
            shown = ", ".join(map(str, unknown[:8])) + (" ..." if len(unknown) > 8 else "")
            raise InputError(f"the tokenizer does not know {shown}")
        words = " ".join(said for said, _ in read)
        return TaggedScript(words, segments, lead, unknown, tuple(dict.fromkeys(warnings)), code)

    def _read(self, text: str, code: str) -> tuple[str, list[str]]:
        glossary = self.settings.glossary
        if self.settings.compat:
            return read_as_reference(text, code, glossary), []
        if code in ("zh", "en"):
            words, warnings = read_words(text, glossary, "en" if code == "en" else "zh")
            return with_full_stop(words, self.tokenizer.count(words)), list(warnings)
        notes = [f"the glossary has no effect in the language {code}"] if glossary else []
        # The splitter of Japanese would drop all that follows a NUL.
        return read_as_reference(text.replace("\0", ""), code), notes + unreadable(text, code)

    def _segments(
        self, read: list[tuple[str, list[float | None]]], code: str
    ) -> Iterator[TaggedSpoken]:
        settings, before, row = self.settings, 0, language_row(code)
        for said, pauses in read:
            parts = self._cut(said, code, max(0, settings.quick_tokens - before))
            before += self.tokenizer.count(said)
            asked = sum(pause for pause in pauses if pause is not None)
            behind = asked if pauses[0] is not None else 0.0
            for index, part in enumerate(parts, 1):
                pause = settings.pause if index < len(parts) else behind
                tagged = language_tag(code) + part
                ids, pieces = self.tokenizer.encode(tagged), self.tokenizer.pieces(tagged)
                yield TaggedSpoken(tuple(ids), tuple(pieces), pause, part, row)

    def _cut(self, text: str, code: str, quick: int) -> list[str]:
        limit, tag = min(self.settings.segment_tokens, self.positions), language_tag(code)
        if not self.settings.compat:
            return cut_segments(text, self.tokenizer, tag, limit, quick)
        budget = max(1, limit - self.tokenizer.count(tag))
        return split_as_reference(text, budget, self.tokenizer.count)
