"""Names of signs and Greek letters; signs without a name are left out."""

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the rules of both languages import this module, and `verbalise` imports theirs
    from indextts_jax.text.rules.verbalise import Language

_GREEK = {
    "α": ("alpha", "阿尔法"),
    "β": ("beta", "贝塔"),
    "γ": ("gamma", "伽马"),
    "δ": ("delta", "德尔塔"),
    "ε": ("epsilon", "艾普西龙"),
    "ζ": ("zeta", "泽塔"),
    "η": ("eta", "伊塔"),
    "θ": ("theta", "西塔"),
    "ι": ("iota", "约塔"),
    "κ": ("kappa", "卡帕"),
    "λ": ("lambda", "兰姆达"),
    "μ": ("mu", "缪"),
    "ν": ("nu", "纽"),
    "ξ": ("xi", "克西"),
    "ο": ("omicron", "奥密克戎"),
    "π": ("pi", "派"),
    "ρ": ("rho", "柔"),
    "σ": ("sigma", "西格马"),
    "τ": ("tau", "陶"),
    "υ": ("upsilon", "宇普西龙"),
    "φ": ("phi", "斐"),
    "χ": ("chi", "希"),
    "ψ": ("psi", "普西"),
    "ω": ("omega", "欧米伽"),
}
# Other shapes of these letters.
_VARIANTS = dict(zip("ςϐϑϕϖϰϱϲϵϴϒϓϔ\u00b5Ϲ϶ϛ", "σβθφπκρσεθυυυμσεσ", strict=True))
_SIGNS = {
    "©": ("copyright", "版权"),
    "{": ("'", "'"),
    "}": ("'", "'"),
    "§": ("section", "第"),
    "°": ("degrees", "度"),
    "∑": ("sum", "求和"),
    "∏": ("product", "连乘"),
    "∫": ("integral", "积分"),
    "∈": ("in", "属于"),
    "∉": ("not in", "不属于"),
    "∩": ("intersection", "交"),
    "∪": ("union", "并"),
    "⊂": ("is a subset of", "包含于"),
    "⊆": ("is a subset of", "包含于"),
    "∅": ("the empty set", "空集"),
    "∀": ("for all", "任意"),
    "∃": ("there exists", "存在"),
    "¬": ("not", "非"),
    "∧": ("and", "且"),
    "∨": ("or", "或"),
    "∂": ("partial", "偏"),
    "∇": ("nabla", "纳布拉"),
    "∝": ("is proportional to", "正比于"),
    "≡": ("is identical to", "恒等于"),
    "≌": ("is congruent to", "全等于"),
    "∽": ("is similar to", "相似于"),
    "△": ("triangle", "三角形"),
    "∠": ("angle", "角"),
    "⊙": ("circle", "圆"),
    "⊥": ("is perpendicular to", "垂直于"),
    "∥": ("is parallel to", "平行于"),
    "∵": ("because", "因为"),
    "∴": ("therefore", "所以"),
    "′": ("prime", "撇"),
    "‰": ("per mille", "千分之"),
    "℃": ("degrees Celsius", "摄氏度"),
    "℉": ("degrees Fahrenheit", "华氏度"),
    "♯": ("sharp", "升"),
    "♭": ("flat", "降"),
    "€": ("euro", "欧元"),
    "£": ("pound", "英镑"),
    "₿": ("bitcoin", "比特币"),
    "⌘": ("Command", "Command"),
    "⌥": ("Option", "Option"),
    "℗": ("copyright", "版权"),
}
_GREEK_LETTERS = "".join(_GREEK) + "".join(_GREEK).upper()
_FORMS = {letter: letter.lower() for letter in _GREEK_LETTERS} | _VARIANTS
_GREEK_WORD = re.compile("[\u0370-\u03ff\u1f00-\u1fff]{2,}")
_ONE = re.compile("[" + re.escape("".join([*_FORMS, *_SIGNS])) + "]")
_BULLET = re.compile(r"\s*[•‣▪●■◆◇○★☆※]+\s*")
# A heart is a verb between words, and an ornament elsewhere.
_RIGHT = re.compile(r"\bRt\s?△")
_HEART = re.compile(r"(?<=[\w\u3400-\u9fff])(\s?)♥(\s?)(?=[\w\u3400-\u9fff])")
_RISE = re.compile(
    r"([↑↓⬆⬇])\s?(?=[\d\U000f0000-\U000ffffd])|(?<=[\d%\U000f0000-\U000ffffd])\s?([↑↓])"
)
_ARROWS = {"↑": ("up", "上升"), "↓": ("down", "下降"), "⬆": ("up", "上升"), "⬇": ("down", "下降")}
_PICTURES = re.compile("[^\\S\\n]*[{}]+[^\\S\\n]*")
_KEPT = frozenset("',.?!…- \n")
_PUNCTUATION = {
    "Pd": "-",
    "Ps": "'",
    "Pe": "'",
    "Pi": "'",
    "Pf": "'",
}
_MARKS = {"¿": "", "¡": "", "‰": "", "–": "-"}


def name_symbols(text: str, language: "Language") -> str:
    """The text with single Greek letters and symbols in words; Greek words stay.

    A picture between words, such as an emoji, is a pause.
    """
    index = 1 if language == "zh" else 0
    if text.isascii():
        return text
    greek = _GREEK_WORD.search(text)

    def name(match: re.Match[str]) -> str:
        sign = _FORMS.get(match[0], match[0])
        if sign in _GREEK and greek:
            return match[0]
        if sign == "′" and match.start() and not match.string[match.start() - 1].isalnum():
            return ""
        if sign == "°" and match.start() and _picture(match.string[match.start() - 1]):
            return ""  # the eye of a face
        word = (_GREEK.get(sign) or _SIGNS[sign])[index]
        if index:
            return word
        before = match.string[max(0, match.start() - 1) : match.start()]
        after = match.string[match.end() : match.end() + 1]
        left = before and not before.isspace() and before not in "('\"-“‘"
        right = after and not after.isspace() and after not in ")'\"-.,;:!?，。；：！？”’…"
        return " " * bool(left) + word + " " * bool(right)

    love = " love " if not index else "爱"
    text = _HEART.sub(lambda match: f"{match[1]}{love}{match[2]}", text)
    text = _RIGHT.sub("right triangle " if not index else "直角三角形", text)
    text = _RISE.sub(
        lambda match: f" {_ARROWS[match[1] or match[2]][index]} ".strip(" " * index), text
    )
    text = _ONE.sub(name, _BULLET.sub(_bullet, text))
    return _without_pictures(text, language)


def without_signs(text: str) -> str:
    """The text with the marks that the tokenizer knows as its only signs.

    Letters, figures and what is private to a font stay, also those that no tokenizer knows.
    """
    if text.isascii() and text.replace(" ", "").isalnum():
        return text
    return text.translate(_TABLE)


class _Table(dict[int, str]):
    def __missing__(self, code: int) -> str:
        plain = _plain(chr(code))
        self[code] = plain
        return plain


def _plain(character: str) -> str:
    if character in _KEPT or character.isalnum():
        return character
    category = unicodedata.category(character)
    if category in _PUNCTUATION:
        return _PUNCTUATION[category]
    if category[0] in "SP" or category in ("Cf", "Cc"):
        return ""
    return " " if category[0] == "Z" else character


_TABLE = _Table()


def _bullet(match: re.Match[str]) -> str:
    return ", " if match.string[: match.start()].strip() else ""


def _picture(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character) in ("So", "Sk")


def _without_pictures(text: str, language: "Language") -> str:
    """The text without emoji and the like; a comma where one parts two sentences."""
    if text.isascii() or not any(map(_picture, set(text))):
        return text
    pictures = "".join(filter(_picture, set(text)))
    around = re.compile(
        rf"[^\S\n]*[{re.escape(pictures)}](?:[^\S\n]*[{re.escape(pictures)}])*[^\S\n]*"
    )
    return around.sub(lambda match: _pause(match, language), text)


def _pause(match: re.Match[str], language: "Language") -> str:
    before = match.string[max(0, match.start() - 1) : match.start()]
    after = match.string[match.end() : match.end() + 1]
    if after and after in ",.!?;:，。！？；：、…":
        return ""
    if not before or not after or not before.isalnum() or not after.isalnum():
        return " " if before and after and not (before + after).isspace() else ""
    if language == "zh":
        return "，"
    return ", " if after.isupper() else " "
