"""Characters in their plain form: styles, widths, digits of other scripts, invisible ones."""

import re
import unicodedata

# Blocks whose characters are a style of others: their compatibility form is what is meant.
_STYLED = (
    (0x00AA, 0x00AA), (0x00BA, 0x00BA), (0x02B0, 0x02B8), (0x02E0, 0x02E4), (0x1D2C, 0x1D6A),
    (0x1D78, 0x1D78), (0x1D9B, 0x1DBF), (0x203C, 0x203C), (0x2047, 0x2049), (0x2071, 0x2071),
    (0x208A, 0x209C), (0x2100, 0x2102), (0x2105, 0x2107), (0x210A, 0x2115), (0x2119, 0x211D),
    (0x2121, 0x2121), (0x2124, 0x2124), (0x2128, 0x2128), (0x212C, 0x212D), (0x212F, 0x2131),
    (0x2133, 0x2134), (0x2139, 0x2139), (0x213B, 0x213F), (0x2145, 0x2149), (0x249C, 0x24E9),
    (0x2C7C, 0x2C7D), (0x2E80, 0x2FD5), (0x3036, 0x303A), (0x3200, 0x3250), (0x3260, 0x32B0),
    (0x32C0, 0x33FF), (0xA69C, 0xA69D), (0xA770, 0xA770), (0xF900, 0xFAFF), (0xFB00, 0xFB06),
    (0xFE10, 0xFE19), (0xFE30, 0xFE6B), (0xFF61, 0xFF65), (0x1D400, 0x1D7FF), (0x1F100, 0x1F14F),
    (0x1F16A, 0x1F190), (0x1F200, 0x1F265), (0x2F800, 0x2FA1F),
)  # fmt: skip
# Full-width letters and digits, and signs between them; punctuation stays.
_FULL_WIDTH = (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
_FULL_WIDTH = (*_FULL_WIDTH, *map(ord, "％＄＋＝／＠＃．－＜＞＆＊＾＿｜＼＂＇｀"))
# Marks on the letter before them that belong to no script; and those that choose a drawing.
_LOOSE_MARKS = (
    (0x0300, 0x036F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE00, 0xFE0F),
    (0xFE20, 0xFE2F), (0xE0100, 0xE01EF), (0x180B, 0x180F), (0x302A, 0x302F), (0x3099, 0x309A),
)  # fmt: skip
_SAME = {
    **dict(zip("『』〈〉〔〕〖〗［］｛｝«»„‟‹›", '「」《》（）【】[]{}""""\'\'', strict=True)),
    **dict.fromkeys("‐‑⁃˗֊", "-"),
    **dict.fromkeys("‒﹘", "–"),
    **dict.fromkeys("―⸺⸻", "—"),
    **dict.fromkeys("〜∼～", "～"),
    **dict.fromkeys("ʼʹ＇ˈ", "'"),
    **dict.fromkeys("〝〞〟❝❞⹂", '"'),
    **dict.fromkeys("‚‛❛❜", "'"),
    **dict.fromkeys("⟨⟪⦅❨❲⁅｟", "（"),
    **dict.fromkeys("⟩⟫⦆❩❳⁆｠", "）"),
    **dict.fromkeys("∶꞉", ":"),
    **dict.fromkeys("⁄∕⧸", "/"),
    **dict.fromkeys("∗⁎✱✲✳＊", "*"),
    **dict.fromkeys("⋅∙･・‧", "·"),
    **dict.fromkeys("∣￨⏐", "|"),
    **dict.fromkeys("✕✖⨯", "×"),
    **dict.fromkeys("➗", "÷"),
    **dict.fromkeys("➕", "+"),
    **dict.fromkeys("➖", "−"),
    **dict.fromkeys("≦⪯", "≤"),
    **dict.fromkeys("≧⪰", "≥"),
    **dict.fromkeys("➔➜➝➞➡⟶⟹⇨➠➙⭢", "→"),
    "❤": "♥", "⟂": "⊥",
    "〇": "零", "Ω": "Ω", "‽": "?!", "⸮": "?", "؟": "?", "،": ",", "؛": ";", "۔": ".", "।": ".",
    "॥": ".", "։": ".", "።": ".", "፧": "?", "﹒": ".", "﹐": ",", "˙": "·", "․": ".", "‥": "…",
    "⋯": "…", "᠁": "…", "ſ": "s", "ℓ": "l", "℮": "e", "K": "K", "Å": "Å", "µ": "μ",
}  # fmt: skip
_KEPT_SIGNS = "℃℉№™℠℗℞Ω"
_GROUPED = re.compile("(?<=\\d)[\u2009\u202f\u00a0](?=\\d{3}(?!\\d))")
_DEGREE = re.compile("(?<=\\d)\\s?[º˚](?![A-Za-z])|(?<=\\d)\\s?[º˚](?=[CFNSEW](?![A-Za-z]))")
_APOSTROPHE = re.compile(r"(?<=[A-Za-z])[`´ʻʽ′](?=[A-Za-z])|(?<![A-Za-z])[ʻ](?=[A-Za-z])")
_KEYCAP = re.compile("([0-9#*])\ufe0f?\u20e3")
_PRIVATE = re.compile("[\U000f0000-\U000ffffd]")  # where the rules have their placeholders


class _Table(dict[int, str]):
    """The plain form of each character, found when it is first met."""

    def __missing__(self, code: int) -> str:
        plain = _plain(chr(code))
        self[code] = plain
        return plain


def plain_characters(text: str) -> str:
    """The text in plain characters; signs with a meaning of their own stay.

    Styled, half- and full-width letters and digits of any script become plain ones; control and
    format characters, loose accents and variation selectors go.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _GROUPED.sub("", unicodedata.normalize("NFC", text))
    text = re.sub(r"(?<=\d°)\s(?=[CF](?![\w'’]))", "", text)
    text = _APOSTROPHE.sub("'", _DEGREE.sub("°", _KEYCAP.sub(r"\1", text)))
    return unicodedata.normalize("NFC", text.translate(_TABLE))


def hide_private(text: str) -> tuple[str, dict[int, int]]:
    """The text with free characters in place of those that the rules use; and the way back."""
    used = sorted(set(_PRIVATE.findall(text)))
    if not used:
        return text, {}
    present = set(text)
    free = (code for code in range(0x100000, 0x10FFFE) if chr(code) not in present)
    there = dict(zip(map(ord, used), free, strict=False))
    return text.translate(there), {free: code for code, free in there.items()}


def _plain(character: str) -> str:
    if character in "\n\t" or " " <= character <= "~":
        return character
    if character in _SAME:
        return _SAME[character]
    code, category = ord(character), unicodedata.category(character)
    if code in _FULL_WIDTH:
        return chr(code - 0xFEE0)
    if category in ("Cc", "Cf") or _within(code, _LOOSE_MARKS):
        return ""
    if category == "Zs":
        return " "
    if category in ("Zl", "Zp"):
        return "\n"
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if _within(code, _STYLED) and character not in _KEPT_SIGNS:
        return _compatible(character)
    return character


def _compatible(character: str) -> str:
    plain = unicodedata.normalize("NFKC", character)
    plain = re.sub("(?<=m)2$", "²", re.sub("(?<=m)3$", "³", plain)).replace("∕", "/")
    return plain.replace("\u2044", "/").replace("―", "—")


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


_TABLE = _Table()
