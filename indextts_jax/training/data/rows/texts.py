"""Reads the texts of clips with the front end of `synth`."""

import dataclasses
import itertools
import re
import unicodedata

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.runtime.versions.registry import version_of
from indextts_jax.text.frontend import TextSettings
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.text.v25.tokenizer import RanksTokenizer
from indextts_jax.training.versions.interface import kind_of
from indextts_jax.utils.hashing import digest

TextTokenizer = Tokenizer | RanksTokenizer
_WHOLE = 1_000_000  # tokens per segment: effectively unlimited, as a clip is one segment
_WIDE = re.compile(r"[\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff]")
WIDE_LETTERS = 3  # duration of an ideograph in letters
ENDS = 6  # duration of the pauses at the ends of a clip, in letters


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReadText:
    """A clip's text after the front end. For an unusable one, `fault` is set."""

    tokens: tuple[int, ...] = ()
    language: str = ""  # in which it was read; empty where tokens do not say it
    spoken: str = ""  # normalised: words instead of digits
    unknown: tuple[str, ...] = ()  # pieces unknown to the tokenizer, with their positions
    notices: tuple[str, ...] = ()
    fault: str = ""
    message: str = ""


class Reader:
    """Reads texts through the front end of `synth`, without cutting them into segments."""

    def __init__(
        self,
        tokenizer: TextTokenizer,
        config: ModelConfig,
        *,
        compat: bool,
        glossary: Glossary | None,
    ):
        self._settings = TextSettings(compat=compat, segment_tokens=_WHOLE, glossary=glossary)
        self._tokenizer, self._config = tokenizer, config

    def named(self, language: str | None) -> str | None:
        """The language of a clip for the front end: None where it is found in the text."""
        return language if kind_of(self._config).TAGGED else None

    def read(self, text: str, language: str | None = None) -> ReadText:
        """A text's tokens; an unusable text does not raise."""
        if not text.strip():
            return ReadText(fault="empty", message="the text is missing")
        try:
            version = version_of(self._config)
            frontend = version.frontend(self._tokenizer, self._settings, language)
            script = frontend.prepare(text)
        except InputError as error:
            return ReadText(fault="unreadable", message=str(error))
        if not has_letters(script.normalised):
            return ReadText(fault="letters", message=f"the text has no words: {text[:40]!r}")
        kind = kind_of(self._config)
        return ReadText(
            tokens=kind.text_tokens(self._tokenizer, script, self._config),
            language=kind.language(script),
            spoken=script.normalised,
            unknown=tuple(dict.fromkeys(map(str, script.unknown))),
            notices=script.warnings,
        )


def glossary_hash(glossary: Glossary | None) -> str:
    """A hash of a glossary's entries; empty without a glossary."""
    if glossary is None:
        return ""
    return digest({term: dict(readings) for term, readings in glossary.terms.items()})


def has_letters(text: str) -> bool:
    """Whether a text has a letter of any script, or a digit."""
    return any(unicodedata.category(character)[0] in "LN" for character in text)


def letters(spoken: str) -> int:
    """The length of a normalised text in letters; an ideograph counts as three."""
    count = sum(unicodedata.category(character)[0] in "LN" for character in spoken)
    return count + (WIDE_LETTERS - 1) * len(_WIDE.findall(spoken))


def ctc_frames(spoken: str) -> int:
    """Least number of frames for a CTC alignment: one per character, and one between equal ones."""
    plain = re.sub(r"[^\w']+", " ", spoken.upper()).strip()
    return len(plain) + sum(a == b for a, b in itertools.pairwise(plain))


def left_over(spoken: str) -> str:
    """Digits and symbols that remain after normalising."""
    return "".join(
        dict.fromkeys(c for c in spoken if unicodedata.category(c) in ("Nd", "Sm", "Sc", "So"))
    )


def repeated_word(spoken: str) -> tuple[str, int]:
    """The word with the most consecutive repetitions, and their number.

    Many repetitions are a symptom of a recogniser that got stuck.
    """
    best, count, before = "", 0, ""
    longest = 0
    for word in re.findall(r"\w+", spoken.casefold()):
        count = count + 1 if word == before else 1
        before = word
        if count > longest:
            best, longest = word, count
    return best, longest
