"""English contractions that are written out before anything is read."""

import re

_WITH_IS = re.compile(r"(what|where|who|which|how|here|there|it|he|she|that|this)'s", re.IGNORECASE)


def expand_is(text: str) -> str:
    """The text with `it's`, `what's` and their like as `it is`, even at the end of a longer word.

    Source: `TextNormalizer.normalize` of the PyTorch release, its first step.
    """
    return _WITH_IS.sub(r"\1 is", text)
