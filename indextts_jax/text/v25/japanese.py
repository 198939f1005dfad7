"""Splits Japanese text into words, which version 2.5 expects between spaces."""

import functools
import re
import threading
from typing import Any

from indextts_jax.errors import InputError

_LOCK = threading.Lock()
_BLANKS = re.compile("( +)")


def split_words(text: str) -> str:
    """The text with single spaces between its words; its own spaces stay.

    The dictionary is always UniDic Lite. (The reference takes a full UniDic if one is installed,
    and then splits differently.)

    Raises:
        InputError: if the packages of the extra `ja` are not installed.

    Source: `JapaneseG2PProcessor.process_ja_text` of the PyTorch release.
    """
    return "".join(
        part if not part or part.startswith(" ") else " ".join(_words(part))
        for part in _BLANKS.split(text)
    )


def _words(text: str) -> list[str]:
    tagger = _tagger()
    with _LOCK:  # a tagger holds the sentence that it works on
        return [word.surface for word in tagger(text)]


@functools.cache
def _tagger() -> Any:
    try:
        import fugashi
        import unidic_lite
    except ImportError as error:
        raise InputError(
            "Japanese needs the packages fugashi and unidic-lite: pip install 'indextts-jax[ja]'"
        ) from error
    folder = unidic_lite.DICDIR
    return fugashi.GenericTagger(f'-r "{folder}/mecabrc" -d "{folder}"')
