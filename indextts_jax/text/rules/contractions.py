"""Expands English contractions before other rules apply."""

import re

_WITH_IS = re.compile(r"(what|where|who|which|how|here|there|it|he|she|that|this)'s", re.IGNORECASE)


def expand_is(text: str) -> str:
    """Expands `it's`, `what's` and the like to `it is`, even at the end of a longer word (a quirk).

    Source: `TextNormalizer.normalize` of the PyTorch release, its first step.
    """
    return _WITH_IS.sub(r"\1 is", text)


_HAS = re.compile(
    r"(?<![A-Za-z])(he|she|it|that|who|there|what|where|here)'s(?=\s+(?:been|got|had|become)\b)",
    re.IGNORECASE,
)
_WHOLE = re.compile(rf"(?<![A-Za-z]){_WITH_IS.pattern}\b", re.IGNORECASE | re.ASCII)


def expand_words(text: str) -> str:
    """Expands `it's` to `it is`, and `it's been` to `it has been`; `rabbit's` stays."""
    return _WHOLE.sub(r"\1 is", _HAS.sub(r"\1 has", text))
