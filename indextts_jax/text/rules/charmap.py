"""Maps punctuation to the marks that the tokenizer knows."""

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

    In Chinese text a dollar sign without an amount becomes a full stop, as in the reference.

    Source: `TextNormalizer.char_rep_map` and `zh_char_rep_map` of the PyTorch release.
    """
    pattern = _DOLLAR if chinese else _PATTERN
    return pattern.sub(lambda match: _MAP.get(match[0], "."), text)
