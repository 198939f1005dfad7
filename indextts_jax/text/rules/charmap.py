"""Punctuation as the tokenizer knows it."""

import re

QUOTE = "'"
_MAP = {
    **dict.fromkeys("：；;，、:", ","),
    "·": "-",
    "。": ".",
    "！": "!",
    "？": "?",
    "\n": " ",
    **dict.fromkeys("—～~", "-"),
    **dict.fromkeys(("...", ",,,", "……"), "…"),
    **dict.fromkeys('“”"‘’（）()《》【】[]「」', QUOTE),
}
_PATTERN = re.compile("|".join(re.escape(key) for key in sorted(_MAP, key=len, reverse=True)))
_DOLLAR = re.compile(r"\$|" + _PATTERN.pattern)


def map_characters(text: str, *, chinese: bool) -> str:
    """The text with its punctuation replaced by the few marks that the tokenizer knows.

    On the Chinese route a dollar sign that no amount took becomes a full stop.

    Source: `TextNormalizer.char_rep_map` and `zh_char_rep_map` of the PyTorch release.
    """
    pattern = _DOLLAR if chinese else _PATTERN
    return pattern.sub(lambda match: _MAP.get(match[0], "."), text)
