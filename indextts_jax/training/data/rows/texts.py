"""Texts of clips as `synth` would read them."""

import dataclasses
import itertools
import re
import unicodedata

from indextts_jax.errors import InputError
from indextts_jax.text.frontend import TextFrontend, TextSettings
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.utils.hashing import digest

_WHOLE = 1_000_000  # text tokens of a segment: a clip is one, however long
_WIDE = re.compile(r"[\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff]")
WIDE_LETTERS = 3  # an ideograph takes as long to say as so many letters
ENDS = 6  # letters' worth of time at the beginning and the end of a clip


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReadText:
    """A clip's text after the front end. `fault` names what makes it useless."""

    tokens: tuple[int, ...] = ()
    spoken: str = ""  # as normalised: words instead of digits
    unknown: tuple[str, ...] = ()  # pieces that the tokenizer lacks, with their places
    notices: tuple[str, ...] = ()
    fault: str = ""
    message: str = ""


class Reader:
    """Reads texts through the front end of `synth`, without cutting them into segments."""

    def __init__(self, tokenizer: Tokenizer, *, compat: bool, glossary: Glossary | None):
        settings = TextSettings(compat=compat, segment_tokens=_WHOLE, glossary=glossary)
        self._frontend = TextFrontend(tokenizer, settings)

    def read(self, text: str) -> ReadText:
        """A text's tokens; a text that is useless raises nothing."""
        if not text.strip():
            return ReadText(fault="empty", message="there is no text")
        try:
            script = self._frontend.prepare(text)
        except InputError as error:
            return ReadText(fault="unreadable", message=str(error))
        if not has_letters(script.normalised):
            return ReadText(fault="letters", message=f"nothing can be said of {text[:40]!r}")
        return ReadText(
            tokens=tuple(number for segment in script.segments for number in segment.ids),
            spoken=script.normalised,
            unknown=tuple(dict.fromkeys(map(str, script.unknown))),
            notices=script.warnings,
        )


def glossary_hash(glossary: Glossary | None) -> str:
    """A hash of a glossary's entries; empty without one."""
    if glossary is None:
        return ""
    return digest({term: dict(readings) for term, readings in glossary.terms.items()})


def has_letters(text: str) -> bool:
    """Whether a text has a letter of any script, or a digit."""
    return any(unicodedata.category(character)[0] in "LN" for character in text)


def letters(spoken: str) -> int:
    """Letters of a normalised text, by the time they take: an ideograph counts as three."""
    count = sum(unicodedata.category(character)[0] in "LN" for character in spoken)
    return count + (WIDE_LETTERS - 1) * len(_WIDE.findall(spoken))


def ctc_frames(spoken: str) -> int:
    """Frames without which no alignment by CTC exists: one a character, and one between equals."""
    plain = re.sub(r"[^\w']+", " ", spoken.upper()).strip()
    return len(plain) + sum(a == b for a, b in itertools.pairwise(plain))


def left_over(spoken: str) -> str:
    """Digits and symbols that normalising left as they are."""
    return "".join(
        dict.fromkeys(c for c in spoken if unicodedata.category(c) in ("Nd", "Sm", "Sc", "So"))
    )


def repeated_word(spoken: str) -> tuple[str, int]:
    """The word that is said most often in a row, and how often: recognisers get stuck."""
    best, count, before = "", 0, ""
    longest = 0
    for word in re.findall(r"\w+", spoken.casefold()):
        count = count + 1 if word == before else 1
        before = word
        if count > longest:
            best, longest = word, count
    return best, longest
