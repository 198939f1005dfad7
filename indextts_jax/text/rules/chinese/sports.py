"""Chinese rules: minutes of a match (`45+2'`), feet, and scores of sets."""

import re

from indextts_jax.text.rules.chinese import numbers
from indextts_jax.text.rules.spans import Rule, rule

_QUOTE = "['’′]"
_FOOTBALL = re.compile(
    "进球|破门|点球|射门|红牌|黄牌|换人|替补|扳平|梅开二度|帽子戏法|助攻|头球|补时|绝杀|建功|染红|足球|乌龙|中超|英超|西甲|欧冠|世界杯"
)
_ADDED = re.compile(rf"\d\+\d{{1,2}}{_QUOTE}")
_MATCH = re.compile(
    "横扫|战胜|击败|比分|女排|男排|女足|男足|国足|国乒|国羽|[一二三四五1-7]局|决赛|对手|客场|主场|不敌|小组赛|淘汰赛|联赛|晋级|队"
)
_PAIR = re.compile(r"(?<![\w.:/-])(\d{1,3})[-–](\d{1,3})(?![\w.:/-])", re.ASCII)
_AROUND = re.compile(r"^[\u4e00-\u9fff]\d+[-–]\d+[\u4e00-\u9fff]")
_UNITS = "年月日号度米分秒公千万亿元个天人次岁级℃%％楼层页点时周章节名届"


def _minute(match: re.Match[str]) -> str | None:
    """`12'` is 第十二分钟, `45+2'` 第四十五加二分钟."""
    minute, added, text = match[2], match[3], match.string
    if int(minute) > 120 or not (added or _FOOTBALL.search(text) or _ADDED.search(text)):
        return None
    more = f"加{numbers.decimal(added)}" if added else ""
    return f"第{numbers.ordinal(minute)}{more}分钟"


def _sets(match: re.Match[str]) -> str | None:
    """`25-18` of a match, in a sentence about it."""
    text = match.string
    pairs = _PAIR.findall(text)
    several = len(pairs) > 1 and any(int(first) > int(last) for first, last in pairs)
    won = int(match[1]) > int(match[2]) and _AROUND.search(text[max(0, match.start() - 1) :])
    if not (several or won or _MATCH.search(text)) or "=" in text:
        return None
    return f"{numbers.decimal(match[1])}比{numbers.decimal(match[2])}"


RULES: list[Rule] = [
    rule(
        rf"(?:(?<=[长宽高深厚])|(?<=[长宽高深厚]约)|(?<=[长宽高深厚]为))(\d{{1,3}}){_QUOTE}(?!\s?\d)",
        lambda m: f"{numbers.counted(m[1])}英尺",
    ),
    rule(
        rf"(第?)(?<![\d.°+A-Za-z-])(\d{{1,3}})(?:\+(\d{{1,2}}))?{_QUOTE}(?![A-Za-z\d\"'’′”]|\s?\d)"
        r"(?:\s(?=[\u4e00-\u9fff]))?",
        _minute,
    ),
    rule(
        rf"(?<![\dA-Za-z.,:/~表图式题例-])(\d{{1,3}})[-–](\d{{1,3}})(?![\dA-Za-z.:/~-]|\s?[{_UNITS}]|,\d{{3}})",
        _sets,
    ),
]
