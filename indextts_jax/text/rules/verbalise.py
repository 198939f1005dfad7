"""Numbers, dates, money and units in words, by the grammars of `wetext`."""

import functools
import re
import threading
from collections.abc import Iterable
from typing import Any, Literal

from indextts_jax.text.rules.english.numbers import NUMBER_WORDS, decade

Language = Literal["zh", "en"]

_LOCK = threading.Lock()
_DIGITS = dict(zip("0123456789", "零幺二三四五六七八九", strict=True))
_YEAR = _DIGITS | {"1": "一"}
_HALF_WIDTH = {0xFF10 + digit: str(digit) for digit in range(10)}
_TOKEN = re.compile(r"(?P<kind>\w+) \{ (?P<fields>(?:\w+: \"(?:\\.|[^\"])*\" )+)\}")
_VALUE = re.compile(r"\"((?:\\.|[^\"])*)\"")
# Of three numbers with points the grammar reads the last two as a decimal, and leaves a full stop.
_VERSION = re.compile(r"\d\.\d+\.\d")
_POINT_EN = re.compile(rf"(?<=[a-z0-9])\s?\.\s?(?=(?:{'|'.join(sorted(NUMBER_WORDS))})\b)")
_POINT_ZH = re.compile("(?<=[零幺一二三四五六七八九十百千0-9])\\.(?=[零幺一二三四五六七八九十])")
_DECADE = re.compile(r"\b1[0-9][2-9]0s\b")


@functools.cache
def _normalizer(language: Language) -> Any:
    """The grammar of a language; imported lazily, because the import reads 60 MB."""
    from wetext import Normalizer

    # The reference's options: interjections and final -r are kept, traditional characters become
    # simplified, full-width ones half-width.
    return Normalizer(
        lang=language,
        operator="tn",
        remove_interjections=False,
        remove_erhua=False,
        traditional_to_simple=True,
        full_to_half=True,
    )


@functools.lru_cache(4096)
def verbalise(text: str, language: Language) -> str:
    """The text with everything in words, as the grammar reads it.

    Raises:
        ValueError: where the grammar finds no reading.
    """
    if not text.strip():
        return ""
    with _LOCK:  # the grammar objects are not documented as thread-safe
        normalizer = _normalizer(language)
        try:
            words = str(normalizer.normalize(text))
        except Exception as error:  # assertions, and errors of the compiled part
            raise ValueError(f"the {language} grammar has no reading for {text!r}") from error
    # The grammar escapes quotation marks and does not always undo it.
    return words if "\\" in text else words.replace("\\", "")


def verbalise_as_reference(text: str, language: Language) -> str:
    """As `verbalise`, but like the older grammar that the reference pins.

    That grammar reads numbers of three, or of five and more digits without a unit digit by digit,
    does not know thousands separators, and reads a bare hyphen as minus.

    Raises:
        ValueError: where the grammar finds no reading.
    """
    if language == "en":
        text = _DECADE.sub(lambda match: f"{decade(match[0])}", text)
        output = verbalise(re.sub(r"#(?=\d)", "number ", text), language)
        output = _one_thousand(output, text).replace("\\\\", "\\")
        return _POINT_EN.sub(" point ", output) if _VERSION.search(text) else output
    output = verbalise(_spell_bare_digits(text.translate(_HALF_WIDTH)), language)
    output = output.replace('\\"', '"').replace("-", "减").replace("+", "加")
    return _POINT_ZH.sub("点", output) if _VERSION.search(text) else output


def _spell_bare_digits(text: str) -> str:
    if not re.search(r"\d{3}", text):
        return text
    from wetext.utils import preprocess, tag

    with _LOCK:
        text = preprocess(text, traditional_to_simple=True)
        tagged = tag(text, "zh", "tn")
    for start, end in reversed(_runs(_bare_numbers(text, tagged))):
        if end - start == 3 or end - start > 4:
            digits = _YEAR if text[end : end + 1] == "年" else _DIGITS
            spelt = "".join(digits.get(digit, digit) for digit in text[start:end])
            text = text[:start] + spelt + text[end:]
    return text


def _bare_numbers(text: str, tagged: str) -> list[tuple[int, int]]:
    """Spans where the grammar found a number without a unit."""
    numbers = []
    place = 0
    for token in _TOKEN.finditer(tagged):
        for value in _VALUE.findall(token["fields"]):
            start = text.find(value, place)
            if start < 0:
                continue
            place = start + len(value)
            if token["kind"] in ("math", "cardinal") and value.isdecimal():
                numbers.append((start, place))
    return numbers


def _runs(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merges adjacent spans."""
    runs: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs


def _one_thousand(output: str, text: str) -> str:
    """Corrects the newer grammar, which reads 1,000 to 1,999 with a bare `thousand`."""
    if "thousand" in text.lower():
        return output
    words = output.split(" ")
    return " ".join(
        "one thousand" if word == "thousand" and before not in NUMBER_WORDS else word
        for before, word in zip(["", *words], words, strict=False)
    )
