"""Languages of version 2.5: their names, and which one a text is written in."""

import itertools
import re
import unicodedata
from collections import Counter

from indextts_jax.errors import InputError
from indextts_jax.text.normalize import language_of
from indextts_jax.text.v25.language_codes import CODES, ROW

AUTO = "auto"
MAIN = ("zh", "en", "ja", "es", "ar")  # what the model is published for; the others are trials

_MARKUP = re.compile(r"<([^|>\n]+)\|[^>\n]+>")
_SPANISH_LETTERS = re.compile("[ñÑ¿¡]")
_SPANISH = frozenset(
    [
        *("el", "la", "los", "las", "un", "una", "unos", "unas", "del", "al", "de", "que", "y"),
        *("en", "por", "para", "con", "sin", "sobre", "es", "está", "son", "fue", "era", "hay"),
        *("se", "su", "sus", "mi", "tu", "lo", "le", "les", "nos", "más", "pero", "como", "muy"),
        *("también", "ya", "este", "esta", "ese", "esa", "cuando", "donde", "quien", "porque"),
        *("hasta", "desde", "entre", "todo", "todos", "ser", "tiene", "puede", "hoy", "qué"),
        *("cómo", "cuánto", "dónde", "buenos", "buenas", "gracias", "hola", "usted", "ella"),
    ]
)
_ENGLISH = frozenset(
    [
        *("the", "a", "an", "of", "in", "on", "at", "to", "is", "are", "was", "were", "be"),
        *("and", "or", "for", "with", "from", "by", "as", "that", "this", "it", "his", "her"),
        *("their", "my", "your", "our", "we", "you", "i", "he", "she", "they", "not", "but"),
        *("have", "had", "has", "will", "would", "can", "could", "does", "did", "what", "how"),
    ]
)
_WORD = re.compile(r"[^\W\d_]+")
_CHARACTERS = ("kana", "han", "hangul")  # scripts whose characters are about as much as half a word
_QUOTED_KANA = 20  # a Chinese text may quote one kana among this many characters


def language_code(name: str, *, compat: bool = False) -> str:
    """The code of a language given by name, in any case, or `auto`.

    With `compat` any name is a language, as in the release, which reads and speaks an unknown one
    as `common`.

    Raises:
        InputError: for a language that the version does not have.
    """
    code = name.strip().lower() if not compat else name.lower()
    if code == AUTO or code in ROW or (compat and code and "|" not in code):
        return code
    raise InputError(
        f"language {name!r:.40}: expected {AUTO}, {', '.join(MAIN[:-1])} or {MAIN[-1]}, or "
        f"another of the {len(CODES)} codes that IndexTTS-2.5 has, such as fr or yue",
        "language",
    )


def language_row(code: str) -> int:
    """The row of a language in the model's table; that of `common` for an unknown one.

    Source: `lang_to_token` of the PyTorch release.
    """
    return ROW.get(code, ROW["common"])


def language_tag(code: str) -> str:
    """What precedes each segment: the language's special token, and a space.

    Without a token of that name it is ordinary text, as in the reference.
    """
    return f"<|{code}|> "


def detect_language(text: str) -> str:
    """The language that a text is written in, by its script: one of `MAIN`.

    Kana make it Japanese, Arabic letters Arabic; ideographs and Latin letters are Chinese or
    English as for version 2, and Latin letters are Spanish if it has `ñ`, `¿` or `¡`, or more of
    its small words than of the English ones. A text without letters is Chinese, as for version 2.

    Raises:
        InputError: if most letters are of another script.
    """
    text = _MARKUP.sub(r"\1", text)
    scripts = _scripts(text)
    if not scripts:
        return "zh"
    kana, han = scripts["kana"], scripts["han"]
    if kana * _QUOTED_KANA > kana + han:
        scripts["kana"] += scripts.pop("han", 0)
    usual = max(scripts, key=lambda script: (scripts[script], script == "kana"))
    if usual == "kana":
        return "ja"
    if usual == "arabic":
        return "ar"
    if usual not in ("han", "latin"):
        raise InputError(
            f"the language of a text in {usual} letters cannot be detected: give its code as "
            f"language ({AUTO} knows {', '.join(MAIN)})",
            "language",
        )
    if not han and _is_spanish(text):
        return "es"
    return language_of(text) or "zh"


def _scripts(text: str) -> Counter[str]:
    """How much there is of each script: its characters or, of an alphabet, twice its words."""
    bare = (c for c in text if unicodedata.category(c)[0] != "M")
    amounts: Counter[str] = Counter()
    for script, letters in itertools.groupby(bare, _script):
        if script:
            amounts[script] += len(list(letters)) if script in _CHARACTERS else 2
    return amounts


def _script(letter: str) -> str:
    """The script of a letter; empty for other characters."""
    if not letter.isalpha():
        return ""
    name = unicodedata.name(letter, "")
    first = name.partition(" ")[0]
    if name.startswith(("HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA")):
        return "kana"
    if "IDEOGRAPH" in name:
        return "han"
    if first in ("LATIN", "FULLWIDTH"):
        return "latin"
    return first.lower() or "unknown"


def _is_spanish(text: str) -> bool:
    if _SPANISH_LETTERS.search(text):
        return True
    words = _WORD.findall(text.lower())
    return sum(w in _SPANISH for w in words) > sum(w in _ENGLISH for w in words)
