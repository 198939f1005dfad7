"""Names of symbols that the tokenizer does not know, such as Greek letters."""

import re

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
_SIGNS = {
    "©": ("copyright", "版权"),
    "{": ("'", "'"),
    "}": ("'", "'"),
    "§": ("section", "第"),
    "°": ("degrees", "度"),
    "∑": ("sum", "求和"),
    "∫": ("integral", "积分"),
    "∈": ("in", "属于"),
    "∩": ("intersection", "交"),
    "∪": ("union", "并"),
    "♥": ("love", "爱"),
}
_DROPPED = "®™"
_GREEK_WORD = re.compile("[\u0370-\u03ff]{2,}")
_ONE = re.compile("|".join(map(re.escape, [*_GREEK, *_SIGNS])), re.IGNORECASE)
_BULLET = re.compile(r"\s*[•‣▪●■◆◇○★☆※]\s*")


def name_symbols(text: str, language: Language) -> str:
    """The text with single Greek letters and symbols in words; Greek words stay."""
    index = 1 if language == "zh" else 0
    greek = _GREEK_WORD.search(text)

    def name(match: re.Match[str]) -> str:
        sign = match[0].lower()
        if sign in _GREEK and greek:
            return match[0]
        word = (_GREEK.get(sign) or _SIGNS[sign])[index]
        if index:
            return word
        before = match.string[match.start() - 1 : match.start()]
        after = match.string[match.end() : match.end() + 1]
        return (" " if before.isalnum() else "") + word + (" " if after.isalnum() else "")

    text = _BULLET.sub(", ", _ONE.sub(name, text))
    return re.sub(f"[{_DROPPED}]", "", text)
