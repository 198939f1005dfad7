"""Chinese rules: Latin letters with digits, and numbers next to Latin words."""

import re

from indextts_jax.text.rules.chinese import numbers, say
from indextts_jax.text.rules.chinese.codes import CALLED, COUNTED, NAME_START, START
from indextts_jax.text.rules.english.numbers import NUMERAL, roman
from indextts_jax.text.rules.spans import PLACE, Rule, rule

_PLACE = PLACE.pattern[1:-1]
# Signs that no other rule reads; the grammar leaves them as they are.
_LEFT_OVER = {
    "&": "和",
    "%": "百分号",
    "+": "加",
    "=": "等于",
    "@": "艾特",
    "/": "，",
    "\\": "反斜杠",
}
SIGNS = [rule("[" + re.escape("".join(_LEFT_OVER)) + "]", lambda m: _LEFT_OVER[m[0]])]

_ROW = {"-": "杠", "/": "斜杠", ",": "，", ":": "比", "、": "、", ".": "点"}
_EMERGENCY = re.compile("[打拨叫]|报警|急救|电话|热线|火警|求助|救护")
_MEASURE = "个只条年月日号次元块台部人名岁天小件本张款种倍万亿千百位点分秒米克层楼页章节"

# Names followed by a hyphen and a number, where the hyphen is not a minus.
_CRAFT = ("歼轰运直强苏图", "东风", "长征", "嫦娥", "神舟", "天宫", "红旗", "鹰击", "天问", "米格")


def _after_word(match: re.Match[str]) -> str | None:
    """`iPhone 15`, `RTX 4090`: a name; after a word in lower case it is a quantity."""
    word, blank, figures = match[1], match[2], match[3]
    if "." in figures:
        return word + blank + say.dotted(figures)
    named = any(letter.isupper() for letter in word)
    return word + blank + (say.label(figures) if named else numbers.decimal(figures))


def _alone(match: re.Match[str]) -> str | None:
    """A text that is only a number: a code if it has three, five or more digits."""
    figures = match[2]
    if len(figures) < 3 or len(figures) == 4:
        return None
    return match[1] + say.code(figures) + match[3]


def _long(match: re.Match[str]) -> str | None:
    figures = match[0]
    code = figures[0] == "0" and len(figures) > 1
    code = code or (len(figures) > 8 and not figures.endswith("000"))
    return say.code(figures) if code else None


def _slang(match: re.Match[str]) -> str | None:
    return None if COUNTED.match(match.string[match.end() :]) else numbers.year(match[0])


# The signs of a topic, around words that are read as usual.
TOPIC = re.compile(r"#([^#\s]*[\u4e00-\u9fff][^#\s]*)#(?=([\u4e00-\u9fffA-Za-z0-9])?)")
RULES: list[Rule] = [
    # A wave behind a word draws it out, and is a pause.
    rule(
        r"(?<=[了吧啊呀哦啦呢嘛哈嘿喔哟的么吗哇呐哒噢好谢见安])[~～]+\s*(?=([\u4e00-\u9fffA-Za-z])?)",
        lambda m: "，" if m[1] else "",
    ),
    rule(r"Rt\s?△\s?", lambda m: "直角三角形"),
    rule(
        r"[*](?=\s?号?键)|(?<=[按拨])\s?[*](?!\d|\s?[*])",
        lambda m: "星" if m.string[m.end() : m.end() + 1] == "号" else "星号",
    ),
    rule(
        r"#(?=\s?号?键)|(?<=[按拨])\s?#(?!\d|\s?[*])",
        lambda m: "井" if m.string[m.end() : m.end() + 1] == "号" else "井号",
    ),
    rule(
        r"(?<![\w])(?=[*#\d]*[*#]{1,2}\d|\d[\d*#]*#)([*#]{1,2}\d[\d*#]*#)",
        lambda m: "".join({"*": "星", "#": "井"}.get(c) or say.code(c) for c in m[1]),
    ),
    rule(
        rf"第({NUMERAL}|I|V|X)(?=[章节卷部篇回季集幕期级类册])",
        lambda m: "第" + numbers.cardinal(roman(m[1])),
    ),
    rule(
        rf"(?<![A-Za-z0-9])({NUMERAL}|I)(?=[型期级类度](?![A-Za-z]))",
        lambda m: numbers.cardinal(roman(m[1])),
    ),
    rule(
        r"(?<=[\u4e00-\u9fff])(III?|IV|VII|VIII|IX)(?![A-Za-z0-9])",
        lambda m: numbers.cardinal(roman(m[1])),
    ),
    rule(rf"(?<=[\d{_PLACE}])#(?![\d楼房栋幢])", lambda m: "井号"),
    rule(
        rf"{START}\d{{3,4}}(?=[\"”’']?(?:事件|大地震|地震|部队|惨案|事变|大促|购物节|晚会))",
        lambda m: numbers.digits(m[0], one="一" if m[0] in ("911", "918") else "幺"),
    ),
    # The grammar always reads these as telephone numbers, even before a measure word.
    rule(
        rf"{START}(?<![-:：/])(?:110|112|114|119|120|122)(?=[\u4e00-\u9fff])"
        r"(?![来了]|报警|火警|急救|电话|热线|出警|救护|警|调度|指挥|平台|民警|接警|中心|[和或、])",
        lambda m: numbers.decimal(m[0]),
    ),
    rule(r"#(?=[A-Za-z\u4e00-\u9fff])", lambda m: ""),
    rule(r"@(?=[A-Za-z0-9_\u4e00-\u9fff])", lambda m: "艾特"),
    rule(
        r"(?<![\d.,:：/-])(?:6{3,}|2?3{3,}|5{3,}|8{3,}|520|5201314|1314|996|007)(?![\d.,:：/%万亿-])",
        _slang,
    ),
    rule(r"(?<![A-Za-z0-9])C\+\+", lambda m: "C加加"),
    rule(r"(?<![A-Za-z0-9])C#", lambda m: "C井"),
    rule(r"#(?=\d)", lambda m: ""),
    rule(r"(?<=\d)#(?=[楼房栋幢])", lambda m: "号"),
    rule(rf"(?<=[{_CRAFT[0]}])-(\d+)(?!\d)", lambda m: say.label(m[1])),
    rule(
        rf"(?:{'|'.join(f'(?<={name})' for name in _CRAFT[1:])})-(\d+)(?!\d)",
        lambda m: say.label(m[1]),
    ),
    rule(r"(?<![A-Za-z0-9])([BCPG])2([BCPG])(?![A-Za-z0-9])", lambda m: f"{m[1]} to {m[2]}"),
    rule(
        r"(?<![A-Za-z.])[A-Z](?:\.[A-Z])+(?![A-Za-z])\.?",
        lambda m: " ".join(m[0].replace(".", "")),
    ),
    rule(
        rf"{NAME_START}[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+(?:\.\d+)*)+", lambda m: say.mixed(m[0])
    ),
    rule(
        rf"{NAME_START}(?:[A-Za-z]+\d|\d+[A-Za-z])[A-Za-z0-9]*(?:\.\d+(?![A-Za-z]))?",
        lambda m: say.mixed(m[0]),
    ),
    rule(
        rf"(?<![A-Za-z])([A-Za-z]+)(\s?)(\d+(?:\.\d+)?)(?![\d:/%,.-]|\s?[{_MEASURE}])",
        _after_word,
    ),
    rule(
        rf"(?<=[{_PLACE}])(\s?(?:和|与|跟|或|比|到|、|及|对比|优于|强于)\s?)(\d{{3,4}})(?![\d.:：%万亿]|\s?[{_MEASURE}元])",
        lambda m: m[1] + say.label(m[2]),
    ),
    rule(
        r"(?<![0-9.,:/-])(\d+(?:\.\d+)?)(\s?)(?=[A-Za-z])",
        lambda m: numbers.decimal(m[1]) + m[2],
    ),
    rule(
        r"(?:(?<=波音)|(?<=空客)|(?<=骁龙)|(?<=麒麟)|(?<=标致))\s?\d{3,4}(?![\d.])",
        lambda m: say.code(m[0]),
    ),
    rule(
        rf"^([^0-9A-Za-z\u3400-\u9fff{_PLACE}]*)(\d+)([^0-9A-Za-z\u3400-\u9fff{_PLACE}]*)$",
        _alone,
    ),
    rule(r"(?<![0-9.,:/-])\d+(?![\d.,:/%-])", _long),
    # The grammar takes long for many numbers in a row, and reads them as sums or dates.
    rule(
        r"(?<![\w.,:/-])\d+(?:([-/,:、.])\d+)(?:\1\d+){3,}(?![\w%]|[.,:/-]\d)",
        lambda m: _ROW[m[1]].join(map(numbers.decimal, re.split(r"\D", m[0]))),
    ),
    rule(
        r"(?:(?<=[\s，。、；！？,;!?（(为是达超约])|^)\d{1,8}(?=[\s，。、；！？,;!?)）]|\.(?!\d)|$)(?!\s*[-+=×÷*/<>年月日号点时]|,\d)(?<![-+=×÷*/<>]\s\d)",
        lambda m: None if m[0] in CALLED and _EMERGENCY.search(m.string) else numbers.decimal(m[0]),
    ),
    rule(r"(?<=[A-Za-z\u4e00-\u9fff])-(?=[A-Za-z\u4e00-\u9fff])", lambda m: "-"),
    rule(r"(?<=[A-Za-z0-9\u4e00-\u9fff])\s*&\s*(?=[A-Za-z0-9\u4e00-\u9fff])(?!和)", lambda m: "和"),
]
