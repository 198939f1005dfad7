"""Pinyin with tone digits, written in a text to give the reading of a word."""

import re

_INITIAL = "(?:zh|ch|sh|[bpmfdtnlgkhjqxzcsryw])"
_FINAL = (
    "(?:iang|iong|uang|üang|vang|ang|eng|ing|ong|ian|iao|uai|uan|üan|van|an|en|in|un|vn"
    "|ai|ei|ua|ui|uo|ao|ou|ia|iu|ie|ue|üe|ve|[aeiouüv])"
)
TONED = re.compile(rf"(?<![a-z])(?:{_INITIAL}?{_FINAL}|ng|er)[1-5]", re.IGNORECASE | re.ASCII)
_U_AFTER_JQX = re.compile(r"^([jqx])[uü](n|e|an)?(?=[1-5])", re.IGNORECASE)

# Valid finals after each initial in standard Chinese; ü is written v.
_VELAR = "a e ai ei ao ou an en ang eng u ua uo uai ui uan un uang ong"
_SYLLABLES = {
    "": "a o e ai ei ao ou an en ang eng er n ng m",
    "b": "a o ai ei ao an en ang eng i ie iao ian in ing u",
    "p": "a o ai ei ao ou an en ang eng i ie iao ian in ing u",
    "m": "a o e ai ei ao ou an en ang eng i ie iao iu ian in ing u",
    "f": "a o ei ou an en ang eng u",
    "d": "a e ai ei ao ou an en ang eng i ia ie iao iu ian ing u uo ui uan un ong",
    "t": "a e ai ei ao ou an ang eng i ie iao ian ing u uo ui uan un ong",
    "n": "a e ai ei ao ou an en ang eng i ie iao iu ian in iang ing u uo uan un ong v ve",
    "l": "a o e ai ei ao ou an ang eng i ia ie iao iu ian in iang ing u uo uan un ong v ve",
    **dict.fromkeys(("g", "k", "h"), _VELAR),
    **dict.fromkeys(("j", "q", "x"), "i ia ie iao iu ian in iang ing iong v ve van vn"),
    "zh": _VELAR + " i",
    "ch": "a e i ai ao ou an en ang eng u ua uo uai ui uan un uang ong",
    "sh": "a e i ai ei ao ou an en ang eng u ua uo uai ui uan un uang",
    "r": "e i ao ou an en ang eng u ua uo ui uan un ong",
    "z": "a e i ai ei ao ou an en ang eng u uo ui uan un ong",
    "c": "a e i ai ei ao ou an en ang eng u uo ui uan un ong",
    "s": "a e i ai ao ou an en ang eng u uo ui uan un ong",
    "y": "a an ang ao e i in ing o ong ou u uan ue un",
    "w": "a ai an ang ei en eng o u",
}
SYLLABLES = frozenset(
    (initial + final).upper() for initial, finals in _SYLLABLES.items() for final in finals.split()
)


def respell(syllable: str) -> str:
    """The spelling of the vocabulary: after j, q and x the vowel is V, and all is upper case.

    Other syllables stay as they are.

    Source: `TextNormalizer.correct_pinyin` of the PyTorch release.
    """
    if syllable[0] not in "jqxJQX":
        return syllable
    return _U_AFTER_JQX.sub(r"\1v\2", syllable).upper()


def spell(syllable: str) -> str | None:
    """A syllable with its tone as the vocabulary spells it, or None if it is not a valid syllable.

    `xing2` is XING2, `nü3` NV3, `ju4` JV4.
    """
    spelt = re.sub("(?<=[jqxJQX])[uüUÜ](?=[1-5]|n|e|an)", "V", syllable).upper().replace("Ü", "V")
    spelt = re.sub("(?<=[JQX])U(?=N[1-5]|E[1-5]|AN[1-5]|[1-5])", "V", spelt)
    return spelt if spelt[:-1] in SYLLABLES and spelt[-1] in "12345" else None


def nearly(letters: str) -> bool:
    """Whether the letters are one insertion, deletion or substitution away from a syllable."""
    word = letters.upper().replace("Ü", "V")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    edits = {a + b[1:] for a, b in cuts if b}
    edits |= {a + c + b[1:] for a, b in cuts if b for c in alphabet}
    edits |= {a + c + b for a, b in cuts for c in alphabet}
    return not edits.isdisjoint(SYLLABLES)
