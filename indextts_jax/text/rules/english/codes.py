"""English rules: numbers that are names, such as telephone, room and order numbers."""

import re

from indextts_jax.text.rules.english import numbers, say
from indextts_jax.text.rules.spans import Rule, rule

_TOP_LEVEL = "com|org|net|edu|gov|io|ai|cn|co|uk|de|fr|jp|dev|app|info|me|tv|us|eu|ca|au|ru|gg"
EMAIL = r"[A-Za-z0-9][\w.+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"
URL = (
    r"(?:https?://|www\.)[A-Za-z0-9.-]+(?::\d+)?(?:[/?#][\w./?=&#%+~:@-]*[\w/=])?(?<!\.)"
    rf"|(?<![\w.@-])(?:[A-Za-z0-9-]+\.)+(?:{_TOP_LEVEL})\b(?:/[\w./?=&#%+~-]*[\w/=])?"
)
_ENDINGS = (
    "py|js|ts|jsx|tsx|java|cpp|hpp|cs|rs|rb|php|sh|bat|exe|dll|txt|md|pdf|docx?|xlsx?|pptx?|csv|tsv"
    "|json|jsonl|yaml|yml|toml|ini|cfg|conf|env|log|xml|html?|css|sql|db|png|jpe?g|gif|svg|webp|bmp"
    "|mp3|mp4|wav|flac|ogg|mov|avi|mkv|zip|rar|7z|tar|gz|iso|apk|dmg|ipynb|pth?|onnx|safetensors"
    "|ckpt|bin|npz?|tmp|bak|lock|srt|epub|mobi|psd|NET"
)
_PART = r"[\w.~@+-]"
PATH = (
    rf"(?<![\w\\])[A-Za-z]:\\(?:{_PART}+\\?)*(?<!\.)"
    rf"|(?<![\w/.])(?<![\d%$€£]\s)(?:~|\.{{1,2}})?/[A-Za-z_.]{_PART}*(?:/{_PART}+)+(?<![.-])/?"
    rf"|(?<![\w/.@-])~/{_PART}+(?<![.-])"
    rf"|(?<![\w/.@-])(?:[\w.-]+/)*[A-Za-z0-9_][\w-]*(?:\.[\w-]+)*\.(?:{_ENDINGS})\b(?!\.\w)"
    rf"|(?<![\w.])\.(?:{_ENDINGS})\b"
)
# A made-up secret: small and large letters, a figure, and a sign in their midst; no sum of money.
SECRET = (
    r"(?<![\w$@#!])(?!(?:[A-Z]{1,3}|R)\$\d)(?=[^\s\d]{0,30}\d)(?=[^\sa-z]{0,30}[a-z])(?=[^\sA-Z]{0,30}[A-Z])"
    r"(?=[A-Za-z0-9_-]{1,30}[$@!#][A-Za-z0-9])[A-Za-z0-9_$@#!-]{7,32}(?<![!_-])(?![\w@]|\.\w)"
)
ADDRESSES: list[Rule] = [
    rule(pattern, lambda m: say.address(m[0])) for pattern in (EMAIL, URL, SECRET, PATH)
]

_ROOM = (
    r"(?:room|suite|apartment|unit|flat|bus|route|locker|building|studio|classroom|seat|gate|hall"
    r"|platform|exit|lab|cabin|counter|booth|hangar|terminal|pier)s?|buses|rm\.?|ste\.|apt\.?"
    r"|highway|hwy|interstate|line|freeway|ward|lot|stall|bay|auditorium|theat(?:er|re)|dorm"
)
_CODE = (
    r"flights?|pins?|passcode|passwords?|otp|zip(?:\s?code)?|postcode|postal code|area code|codes?"
    r"|serial|isbn(?:-1[03])?|issn|tracking|confirmation|reference|ref\.?|badge|licen[cs]e|plates?"
    r"|invoice|orders?|tickets?|case|account|acct\.?|card|policy|member(?:ship)?|extension|ext\.?"
    r"|id|qq|passport|train|patent|docket|booking|ssn|social security|vin|routing|student|employee"
    r"|reservation|permit|claim|batch|combination|port|keypad|part|item|sku|agent"
    r"|apartment code|lock|safe"
)
_STREET = (
    "[\U000f0000-\U000ffffd]|(?:Street|Avenue|Lane|Road|Drive|Boulevard|Way|Court|Place|Square|Terrace"
    "|Parkway|Highway)\\b"
)
# After these a number is a code even without "number" or "is" in between.
_STRONG = (
    r"flight|train|combination|port|pin|pass|otp|zip|post|area|isbn|issn|ssn|ext|serial|badge|licen"
    r"|vin|id|codes?$"
)
_PHONE = (
    r"call|phone|telephone|tel\.?|dial|fax|hotline|mobile|cell|text|whatsapp|contact|ring"
    r"|helpline|reach (?:me|us|him|her|them) at|text\s[\"']?(?-i:[A-Z]+)[\"']?\sto"
)
_BETWEEN = (
    r"(?:\s*(?:\b(?:number|numbers|no\.?|num\.?|id|code|is|was|are|at|on|me|us|him|her|them|reads?"
    r"|(?:changed|set|reset) to"
    r"|(?:end(?:s|ing|ed)?|start(?:s|ing)?) (?:in|with))\b\.?|[#:=：])){0,4}\s*"
)
_CLEAR = re.compile(
    r"[#:=：]|\b(?:no|num|number|id|code|is|was|reads?|in|with|to)\b", re.IGNORECASE
)


def _between(text: str) -> str:
    text = re.sub(r"\bno\.", "number", text, flags=re.IGNORECASE)
    return re.sub(r"#\s*", "number ", text)


def _code(match: re.Match[str]) -> str | None:
    word, between, text = _in_full(match["word"]), match["between"], match["code"]
    if not between and word[-1].isalpha():
        return None  # the digits are part of the word: a name
    if re.fullmatch(r"[A-Za-z]+[ -]?[1-9]\d?", text):
        return f"{word}{_between(between)}{say.mixed(text)}"
    if text.isdecimal():
        strong = re.match(_STRONG, word, re.IGNORECASE)
        secret = re.match("pin|pass|otp|codes?", word, re.IGNORECASE)
        clear = _CLEAR.search(between)
        if len(text) < 3 and text[0] != "0" and not (secret and len(text) > 1):
            return None
        if not (clear or strong) and len(text) < 5:
            return None
    return f"{word}{_between(between)}{say.code(text)}"


def _phone(match: re.Match[str]) -> str | None:
    text = match["phone"]
    if len(re.sub(r"\D", "", text)) < 3:
        return None
    plus = "plus " if text.startswith("+") else ""
    return _in_full(_between(match["before"])) + plus + say.code(text)


_SIDES = {"L": "left", "R": "right", "C": "center"}
_IN_FULL = {
    "apt": "apartment", "rm": "room", "ste": "suite", "hwy": "highway", "tel": "telephone",
    "ext": "extension", "acct": "account", "ref": "reference", "fl": "floor",
}  # fmt: skip
_SHORT = re.compile(rf"\b({'|'.join(_IN_FULL)})\b\.?", re.IGNORECASE)


def _in_full(text: str) -> str:
    """`Apt.` as Apartment, with its capital."""

    def word(match: re.Match[str]) -> str:
        full = _IN_FULL[match[1].lower()]
        return full.capitalize() if match[1][0].isupper() else full

    return _SHORT.sub(word, text)


def _grouped(match: re.Match[str]) -> str | None:
    """`1.250.000`, with points between thousands; an address of a machine is not a number."""
    parts = match[1].split(".")
    machine = len(parts) == 4 and all(int(part) < 256 for part in parts) and parts[-1] != "000"
    if machine or parts[0] == "0":
        return None
    return say.quantity("".join(parts) + (f".{match[2]}" if match[2] else ""))


def _runway(number: str, side: str | None) -> str:
    return numbers.digits(number) + (f" {_SIDES[side]}" if side else "")


def _room(match: re.Match[str]) -> str:
    first = f"{_in_full(match[1])}{_between(match[2])}{say.mixed(match[3])}"
    others = re.split(r"(\d+)", match[4] or "") if match[1].endswith("s") else [match[4] or ""]
    return first + "".join(
        say.label(p) if p.isdecimal() else re.sub(r"\s?[-–]\s?", " to ", p) for p in others
    )


def _version(match: re.Match[str]) -> str:
    word = "v" if len(match[1]) == 1 else "version"
    return f"{word} {say.dotted(match[2])}"


RULES: list[Rule] = [
    rule(
        r"(?<![\w.,/])(\d{1,2})([LRC])\b(?!['’])",
        lambda m: _runway(m[1], m[2]) if "unway" in m.string[: m.start()] else None,
    ),
    rule(
        r"\b([Rr]unways?)\s(\d{1,2})([LRC])?\b(?:/(\d{1,2})([LRC])?\b)?",
        lambda m: f"{m[1]} {_runway(m[2], m[3])}" + (f", {_runway(m[4], m[5])}" if m[4] else ""),
    ),
    rule(r"(?<![\w.,])(\d{1,3}(?:\.\d{3}){2,})(?:,(\d{1,2}))?(?![\w]|[.,]\d)", _grouped),
    rule(
        r"(?<![\w.-])(1[- .])?(8\d\d|900)[- .]"
        r"((?=[A-Z0-9-]{0,40}[A-Z])[A-Z0-9]{2,20}(?:-[A-Z0-9]{2,20})*)(?![\w-])",
        lambda m: f"{'one, ' if m[1] else ''}{numbers.digits(m[2])}-{say.mixed(m[3])}",
    ),
    rule(
        r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)",
        lambda m: " dot ".join(numbers.digits(part) for part in m[0].split(".")),
    ),
    rule(
        r"(?:(?<=[\U000f0000-\U000ffffd])|(?<=localhost)):(\d{2,5})(?![\d:])",
        lambda m: f" colon {numbers.digits(m[1])}",
    ),
    rule(
        r"(?<![\w.,$-])(?<!\d )0\d{2,4}(?: \d{3,4}){1,3}(?![\w-]|[.,]\d)", lambda m: say.code(m[0])
    ),
    rule(r"(?<![\w.,$+-])1[3-9]\d{9}(?!\w|[.,]\d)", lambda m: say.code(m[0])),
    rule(
        r"\b[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{4}){3,7}(?:\s?[A-Z0-9]{1,3})?\b",
        lambda m: say.code(re.sub(r"(?<=[A-Z]{2})(?=\d)", " ", m[0])),
    ),
    rule(r"(?<![\w.])(v|ver\.?|version)\s?(\d+(?:\.\d+)*)(?!\w|\.\d)", _version, re.IGNORECASE),
    rule(r"(?<![\w.])(?!\d{3}\.\d{3}\.\d{4}\b)\d+(?:\.\d+){2,}(?!\w)", lambda m: say.dotted(m[0])),
    rule(
        rf"(?P<before>\b(?:{_PHONE})\b{_BETWEEN})"
        r"(?P<phone>\+?\(?\d[\d().-]{1,6}[\d() .-]{0,14}\d)(?![\w:/%]|[.,]\d)",
        _phone,
        re.IGNORECASE,
    ),
    rule(r"(?P<before>)(?<![\w.])(?P<phone>\+\d{1,3}[ -]?(?:\(?\d+\)?[ -]?){2,}\d)(?!\w)", _phone),
    rule(
        r"(?P<before>)(?<![\w.])(?P<phone>(?:1[ .-])?(?:\(\d{3}\)\s?|\d{3}[ .-])\d{3}[.-]\d{4})"
        r"(?!\w)",
        _phone,
    ),
    rule(r"(?<![\w.-])\d{3}-(?:\d{2}-)?\d{4}(?![\w-])", lambda m: say.code(m[0])),
    rule(r"(?<![\w.-])\d{4}(?:[ -]\d{4}){2,4}(?![\w-])", lambda m: say.code(m[0])),
    rule(r"(?<![\w.-])97[89]-[\d-]+[\dX](?![\w-])", lambda m: say.code(m[0])),
    rule(
        rf"\b({_ROOM})(\s+(?:number\s+|no\.\s*|#\s*)?|\s*#\s*)([A-Z]?-?\d+[A-Z]?)\b"
        r"((?<=s\s\d{3})(?:(?:,\s|,?\s(?:and|or|to)\s|\s?[-–]\s?)\d{3}\b)+)?"
        r"(?![.,:]\d|%|\s?-\s?\d)",
        _room,
        re.IGNORECASE,
    ),
    rule(
        rf"(?<![\w.,$€£-])\d{{3,5}}(?=\s(?:[NSEW]\.?\s)?(?:[A-Z][\w']*\s){{1,3}}(?:{_STREET}))",
        lambda m: say.label(m[0]),
    ),
    rule(
        r"(?<![\w.,$€£-])\d{2,4}(?=\s(?:freeway|highway|interstate|bus|bypass|expressway)\b)",
        lambda m: say.label(m[0]),
        re.IGNORECASE,
    ),
    rule(
        r"(?<![\w.,])(?:911|999|112|411)(?=\s(?:call|emergenc|operator|dispatch))",
        lambda m: numbers.digits(m[0]),
    ),
    rule(r"(?<=\b[A-Z]{2}\s)\d{5}(?:-\d{4})?(?![\w,.-]\d)\b", lambda m: say.code(m[0])),
    rule(
        r"\b(error|status|response|http)((?:\s+code)?(?:\s+is)?[ :]+)(\d{3})\b(?![.,]\d|%)",
        lambda m: f"{m[1]}{m[2]}{numbers.digits(m[3], 'oh')}",
        re.IGNORECASE,
    ),
    rule(
        r"(?<![\w.,$€£-])([2-5]\d\d)(?=\s(?:error|status|response|redirect|page)\b)",
        lambda m: say.label(m[1]),
    ),
    rule(
        r"(?<![\w.,])(\d{3})((?:\([a-z0-9]\))+)",
        lambda m: f"{say.label(m[1])} {say.mixed(re.sub(r'[()]+', ' ', m[2]))}",
    ),
    rule(
        r"\b(Form|Rule|Resolution|Prop|Proposition|Area|Catch|Directive)\s(\d{3,4})\b(?![.,]\d|%)",
        lambda m: f"{m[1]} {say.label(m[2])}",
    ),
    rule(
        rf"\b(?P<word>{_CODE})(?P<between>{_BETWEEN})"
        r"(?P<code>(?:(?-i:[A-Z]{1,5}[ -]?))?\d[A-Z0-9]*(?:-[A-Z0-9]+)*"
        r"(?:(?<=\d{3})\s\d{3}(?!\w|\s[a-z]+s\b))?)\b"
        r"(?![.,:/]\d|%|-?[a-z])",
        _code,
        re.IGNORECASE,
    ),
    rule(r"\bext\.?(?=\s\d)", lambda m: "extension", re.IGNORECASE),
]
