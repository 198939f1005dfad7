"""Emoticons, Western and East Asian: faces of punctuation, which nobody speaks."""

import re

# Between other words, or at their end: `:)`, `xD`, `<3`.
_WESTERN = (
    r"(?<![^\s\u3400-\u9fff，。！？,.!?])"
    r"(?:[:;=xX]['’]?-?[)(DPpOo|*/\\]+(?![\w/])|<3+(?!\d)"
    r"|[TQ][_.][TQ](?!\w)|\^[_.oO-]?\^|>[_.]<|[oO][_.][oO](?!\w)|-_-|([ಠಥ•◕◉°])[‿_ᴗ◡.]{1,2}\1)"
)
_WHOLE = re.compile(_WESTERN)
# A face in brackets, with what it has for arms: `(╯°□°)╯︵ ┻━┻`, `¯\_(ツ)_/¯`, `m(_ _)m`.
_ARMED = re.compile(
    r"(?P<left>[¯＼\\_/ヽヾ╰┌└ლง☆♪┻━︵✧*＊~～ Σσ]{0,8}|(?<![A-Za-z])[odbmqv])"
    r"[(（ʕ](?P<face>[^()（）ʕʔ\n]{1,16})[)）ʔ]"
    r"(?P<right>[odbmqv](?![A-Za-z])|[¯_/ノﾉゞづつっｼ╯┘┐☆♪✧彡︵┻━ﾟ*~～وง丿 ]{0,10})"
)
# A run of letters or a figure is a word, and no part of a face.
_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]{2}|[0-9\u3400-\u9fff]|[ぁ-ゖァ-ヺ]{2}")
# Eyes, cheeks and mouths that prose does not have.
_DRAWN = frozenset("◕‿ᴗ◡◉⊙ಠಥツʖ͜͡▽▿ﾟ｡ﾉ╯╰┻╬﹏︿ᴥ◠⌒≧≦✿╥ω皿口益￣︶︹ヮㅂд∀□Дﾛ๑")
# Also what may be a letter, a sign or a word by itself, as in "(ω)" or "(□)".
_ALONE = frozenset("ω口皿益□▽◉⊙Дд∀ヮ≧≦✿ㅂ")
_EYES = re.compile(
    r"([\^><;；｀TQOou*@=~+$`´•°・･_-])[ ]?"
    r"(?P<mouth>[_.oOvw3∀~ωДд▽□﹏︿皿口 -]{1,3})[ ]?(?:\1(?!\.)|[<´`])"
    r"|(['’])[_ωДд▽□﹏︿皿口]\3"
)
_MARKS = re.compile("[\u0300-\u036fง]")  # brows, and a fist


def without_faces(text: str) -> str:
    """The text without emoticons such as `:)`, `(^_^)` and `(╯°□°)╯︵ ┻━┻`."""
    return _ARMED.sub(_unless_face, _WHOLE.sub("", text))


def _unless_face(match: re.Match[str]) -> str:
    if not _is_face(match["face"]):
        return match[0]
    spaced = match[0][:1].isspace() or match[0][-1:].isspace()
    return " " if spaced else ""


def _is_face(inside: str) -> bool:
    inside = _MARKS.sub("", inside).strip()
    if _WORD.search(re.sub("[口皿益人]", "", inside)):
        return False
    if inside == "ツ":
        return True
    drawn = [character for character in inside if character in _DRAWN]
    if len(inside) > 1 and (set(drawn) - _ALONE or len(drawn) > 1):
        return True
    if inside == "_ _":
        return True
    eyes = _EYES.search(inside)
    return eyes is not None and not (eyes["mouth"] or "'").isspace()
