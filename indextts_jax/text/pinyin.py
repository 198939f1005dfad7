"""Pinyin with a tone digit, as it is written in a text to say how a word is read."""

import re

_INITIAL = "(?:zh|ch|sh|[bpmfdtnlgkhjqxzcsryw])"
_FINAL = (
    "(?:iang|iong|uang|üang|vang|ang|eng|ing|ong|ian|iao|uai|uan|üan|van|an|en|in|un|vn"
    "|ai|ei|ua|ui|uo|ao|ou|ia|iu|ie|ue|üe|ve|[aeiouüv])"
)
TONED = re.compile(rf"(?<![a-z])(?:{_INITIAL}?{_FINAL}|ng|er)[1-5]", re.IGNORECASE | re.ASCII)
_U_AFTER_JQX = re.compile(r"^([jqx])[uü](n|e|an)?(?=[1-5])", re.IGNORECASE)


def respell(syllable: str) -> str:
    """The spelling that the vocabulary has: after j, q and x the vowel is V, and all is upper case.

    Other syllables stay as they are.

    Source: `TextNormalizer.correct_pinyin` of the PyTorch release.
    """
    if syllable[0] not in "jqxJQX":
        return syllable
    return _U_AFTER_JQX.sub(r"\1v\2", syllable).upper()
