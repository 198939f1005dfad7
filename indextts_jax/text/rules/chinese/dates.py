"""Chinese rules: years and decades; the grammar reads other dates and times."""

import re

from indextts_jax.text.rules.chinese import numbers
from indextts_jax.text.rules.chinese.codes import START
from indextts_jax.text.rules.spans import Rule, rule

_YEAR = r"(?:1[0-9]|20)\d\d"
_TO = r"\s?[-–—~～至到]\s?"
_YEARLY = (
    "款|版|级|届|赛季|春晚|春季|夏季|秋季|冬季|财年|年度|奥运|世界杯|高考|财报|新年|跨年|欧洲杯"
    r"|国庆|中秋|上半年|下半年|第[一二三四1-4]季度|\s?(?:Q[1-4]|H[12])(?![A-Za-z0-9])|元旦|春节|新春|年终"
    "|毕业|全国|全球|国际|世界|中国|最新|新款|财政"
)
# Before the number of a year within an era: it is read as a number, not digit by digit.
_ERAS = (
    "康熙|雍正|乾隆|嘉庆|道光|咸丰|同治|光绪|宣统|顺治|洪武|永乐|嘉靖|万历|崇祯|贞观|开元|天宝|建安"
    "|民国|明治|大正|昭和|平成|令和"
)
_EVENTS = "冬奥|奥运|世界杯|亚运|欧洲杯|春晚|高考|国庆|春节|金融危机"
_LASTING = "了过近约达整满第共已这每有长前后隔花用历几仅逾超距活"


def _full_year(match: re.Match[str]) -> str | None:
    before = match.string[: match.start()][-1:]
    lasting = before and before in _LASTING and match[0].endswith("00")
    return None if lasting else numbers.year(match[0])


def _short_year(match: re.Match[str]) -> str | None:
    before = match.string[: match.start()][-1:]
    if before and before in _LASTING and match[1][0] != "0":
        return None
    return numbers.year(match[1])


def _dotted(match: re.Match[str]) -> str | None:
    if not (0 < int(match[2]) < 13 and 0 < int(match[3]) < 32):
        return None
    month, day = numbers.decimal(match[2]), numbers.decimal(match[3])
    return f"{numbers.year(match[1])}年{month}月{day}日"


def _day_first(match: re.Match[str]) -> str | None:
    day, month = int(match[1]), int(match[2])
    day, month = (month, day) if month > 12 else (day, month)
    if not (0 < month < 13 and 0 < day < 32):
        return None
    return f"{numbers.year(match[3])}年{numbers.cardinal(month)}月{numbers.cardinal(day)}日"


def _half_day(match: re.Match[str]) -> str:
    hour = numbers.counted(match[1].lstrip("0") or "0")
    half = "上午" if match[3] in "aA" else "晚上" if 6 <= int(match[1]) < 12 else "下午"
    if re.search("[早上中下晚][上午]$", match.string[: match.start()]):
        half = ""
    minute = match[2] or "00"
    zero = "零" if minute[0] == "0" else ""
    return f"{half}{hour}点" + (f"{zero}{numbers.cardinal(int(minute))}分" if int(minute) else "")


def _says(words: str, match: re.Match[str], before: int = 12, after: int = 8) -> bool:
    text = match.string[max(0, match.start() - before) : match.end() + after]
    return bool(re.search(words, text.replace(match[0], "\n")))


def _clock(match: re.Match[str]) -> str | None:
    """A time of day or a measured time; scores and ratios are left to later rules."""
    hour, minute, second, unit = match[1], match[2], match[3], match[4]
    named = _NAMED_TIME.search(match.string[: match.start()])
    if _says(_RATIO, match, 8, 4) and not second and not named:
        return f"{numbers.decimal(hour)}比{numbers.decimal(minute)}"
    if not unit and not second and _says(_MATCH, match) and not named:
        return None
    if second is None and len(hour) < 2 and unit == "" and _says(_TIMED, match, 6, 2):
        return f"{numbers.decimal(hour)}分{numbers.decimal(minute.lstrip('0') or '0')}秒"
    if (
        second
        and _says(_TIMED, match, 6, 2)
        and not re.search("[早上中下晚]午?$", match.string[: match.start()])
    ):
        hours = f"{numbers.counted(hour.lstrip('0') or '0')}小时" if int(hour) else ""
        return f"{hours}{numbers.cardinal(int(minute))}分{numbers.cardinal(int(second))}秒"
    if int(hour) > 24:
        return None
    return _time(hour, minute) + (f"{numbers.cardinal(int(second))}秒" if second else "")


def _time(hour: str, minute: str) -> str:
    words = numbers.counted(hour.lstrip("0") or "0") + "点"
    if int(minute):
        words += ("零" if minute[0] == "0" else "") + f"{numbers.cardinal(int(minute))}分"
    return words


_TIMED = "成绩|用时|耗时|历时|时长|片长|全长|配速|跑出|跑完|完赛|圈速|计时|倒计时|时间为|长度|总长"
_MATCH = (
    "比分|击败|战胜|大胜|险胜|完胜|战平|逆转|领先|落后|不敌|轻取|力克|获胜|取胜|横扫|胜出|淘汰"
    "|[胜负输赢]了?(?!利)|局|盘|总分"
)
_RATIO = "比例|配比|按(?!时)|稀释|混合|调配|比率|比值|兑|之比|性别比|赔率|汇率"
_NAMED_TIME = re.compile("(?:时间|时刻|定于|开赛|[日天晚午早晨])[是为在]?[:：]?\\s?$")
_MERIDIEM = r"(?:上午|下午|早上|晚上|中午|凌晨|傍晚|清晨|夜里|午夜)"
_HOUR = r"(?:[01]?\d|2[0-4])"
_COLON = "[:：]"
_SINGLE = r"(?<!\d[:：])(?<![\d.,/A-Za-z-])"
CLOCK = [
    rule(
        rf"{_SINGLE}(\d{{1,6}}(?:\.\d{{1,4}})?){_COLON}(\d{{1,6}}(?:\.\d{{1,4}})?)(?![\d:：.])",
        lambda m: (
            f"{numbers.decimal(m[1])}比{numbers.decimal(m[2])}" if "." in m[1] + m[2] else None
        ),
    ),
    rule(
        rf"{_SINGLE}({_HOUR}){_COLON}([0-5]\d)\s?[-–—−~～至到]{{1,2}}\s?({_MERIDIEM})?({_HOUR}){_COLON}([0-5]\d)"
        r"(?![\d:：])(?:[分时](?![别组头批成享开手钟期]))?",
        lambda m: (
            f"{_time(m[1], m[2])}{'至' if '至' in m[0] else '到'}{m[3] or ''}{_time(m[4], m[5])}"
        ),
    ),
    rule(
        rf"{_SINGLE}(\d{{1,3}}){_COLON}([0-5]\d)(?:{_COLON}([0-5]\d))?(?![\d:：]|\.\d)"
        r"(?!\s?[aApP]\.?[mM](?![A-Za-z]))([分时](?![别组头批成享手钟期]|开(?![始会门播场幕业]))|)",
        _clock,
    ),
]

# 2024.3.5, before the rules for version numbers.
DOTTED = [
    rule(rf"{START}({_YEAR})\.(\d{{1,2}})\.(\d{{1,2}})(?![.\d])", _dotted),
    rule(rf"{START}(\d{{1,2}})\.(\d{{1,2}})\.({_YEAR})(?![.\d])", _day_first),
    rule(
        rf"{START}({_YEAR})/(0?[1-9]|1[0-2])(?![\d/])",
        lambda m: f"{numbers.year(m[1])}年{numbers.decimal(m[2].lstrip('0'))}月",
    ),
    rule(
        rf"{START}(?<!/)(0?[1-9]|1[0-2])/([0-2]?\d|3[01])(?=[出见开截上前晚早下放发到]|周|星期|号|[(（])(?![上下前]的)",
        lambda m: (
            f"{numbers.decimal(m[1].lstrip('0'))}月{numbers.decimal(m[2].lstrip('0') or '0')}日"
        ),
    ),
    rule(
        r"(?<=[周期][一二三四五六日天])([(（]?)(1[0-2]|0?[1-9])/([0-2]?\d|3[01])(?![\d/])",
        lambda m: (
            f"{m[1]}{numbers.decimal(m[2].lstrip('0'))}月"
            f"{numbers.decimal(m[3].lstrip('0') or '0')}日"
        ),
    ),
    rule(
        r"(?<=[是在于到至])(1[0-2]|0?[1-9])/(1[3-9]|2\d|3[01])(?=[，。,；！!？?]|\s*$)",
        lambda m: f"{numbers.decimal(m[1].lstrip('0'))}月{numbers.decimal(m[2])}日",
    ),
    rule(
        r"(?P<before>(?:时间|日期|期间|档期|假期|日程)[是为]?\s?[:：]?\s?)(1[0-2]|[1-9])\.([1-9]|[12]\d|3[01])"
        r"\s?[-–—~～至到]\s?(?:(1[0-2]|[1-9])\.)?([1-9]|[12]\d|3[01])(?![\d.%])",
        lambda m: (
            f"{m['before']}{numbers.decimal(m[2])}月{numbers.decimal(m[3])}日到"
            + (f"{numbers.decimal(m[4])}月" if m[4] else "")
            + f"{numbers.decimal(m[5])}日"
        ),
    ),
    # A time of day with am or pm.
    rule(
        r"(?<![\d.:])(1[0-2]|0?\d)(?::([0-5]\d))?\s?([aApP])\.?[mM](?![A-Za-z])\.?",
        lambda m: _half_day(m),
    ),
    rule(r"(?<=月)(\d{1,2})(?=[日号])", lambda m: numbers.decimal(m[1])),
    rule(r"(?<![\d.:：/~～–-])(1[0-2]|0?[1-9])(?=月(?![\d饼]))", lambda m: numbers.decimal(m[1])),
    rule(r"(?<=点)2(?=分(?!之))", lambda m: "二"),
]
RULES: list[Rule] = [
    # The years of a life or of a reign, in brackets behind a name.
    rule(
        rf"(?<=[（(])(约?)(\d{{3,4}})年?{_TO}(约?)(\d{{3,4}})(?=年[^）)]{{0,8}}[）)])",
        lambda m: (
            f"{m[1]}{numbers.year(m[2])}年到{m[3]}{numbers.year(m[4])}"
            if int(m[2]) < int(m[4])
            else None
        ),
    ),
    rule(
        rf"{START}({_YEAR})(年?){_TO}({_YEAR})(?=年|学年|赛季|财年|年度|[)）])",
        lambda m: f"{numbers.year(m[1])}{m[2]}{'至' if '至' in m[0] else '到'}{numbers.year(m[3])}",
    ),
    rule(
        rf"{START}({_YEAR})[-–—](\d\d)(?=学年|赛季|财年|年度)",
        lambda m: f"{numbers.year(m[1])}到{numbers.year(m[2])}",
    ),
    rule(rf"({_ERAS})(\d{{1,2}})(?=年)", lambda m: m[1] + numbers.decimal(m[2])),
    rule(rf"{START}(\d\d)(?=年(?:{_EVENTS}))", lambda m: numbers.year(m[1])),
    rule(
        rf"{START}(?:19|20)(?!00)\d\d(?=年(?:前|以前|之前|以来|来(?!的)|间))",
        lambda m: numbers.year(m[0]),
    ),
    rule(
        r"(?<=[版款级届年本])(比|和|与|跟|、|到|及|至)((?:19|20)\d\d)(?![\d.]|[元块个人米])",
        lambda m: m[1] + numbers.year(m[2]),
    ),
    rule(
        r"(?<![\d.])([5-9]0|[01]0)(?=(?:[、和,，](?:[5-9]0|[01]0))+后)",
        lambda m: numbers.year(m[1]),
    ),
    rule(rf"{START}{_YEAR[:-2]}0(?=年代)", lambda m: numbers.year(m[0])),
    rule(rf"{START}[1-9]0(?=年代)", lambda m: numbers.decimal(m[0])),
    rule(rf"{START}00(?=年代)", lambda m: "零零"),
    rule(rf"{START}(?:[5-9][05]|[01][05])(?=后(?![面来天]))", lambda m: numbers.year(m[0])),
    rule(r"(?:(?<=公元前)|(?<=公元)|(?<=西元))\d{2,4}(?=年)", lambda m: numbers.year(m[0])),
    rule(
        r"(?<=[在于至到])(1[0-2]|[1-9])\.([12]\d|3[01]|[1-9])(?=之?前|以前|截止|起)",
        lambda m: f"{numbers.decimal(m[1])}月{numbers.decimal(m[2])}日",
    ),
    rule(
        r"(?<=年)\s?[-–—－~～至]\s?(公元)?(前)?(\d{1,4})(?=年)",
        lambda m: f"到{m[1] or ''}{m[2] or ''}{numbers.year(m[3])}" if "公元" in m.string else None,
    ),
    rule(rf"{START}{_YEAR}(?=年(?!的?历史|前|以上|以来|来|之久|间))", _full_year),
    rule(rf"{START}(?:19|20)\d\d(?=\s?(?:{_YEARLY}))", lambda m: numbers.year(m[0])),
    rule(
        r"(?:(?<=[在于至从自])|(?<=截止))(?:19[5-9]|20[0-4])\d(?=[，。,、；！？!?]|\s*$|[以之][前后来]|[见开完结发毕出])",
        lambda m: numbers.year(m[0]),
    ),
    rule(
        rf"{START}([5-9]\d)(?=年的?(?:[春夏秋冬]|那|时候|世界杯|奥运|高考|\d{{1,2}}月|出生|毕业))",
        _short_year,
    ),
    rule(rf"{START}([5-9]\d|0\d)(?=年(?![前后来间内以之历多的半]))", _short_year),
    rule(rf"{START}(?<![-–~])[1-9]\d*(?=年(?![代级]))", lambda m: numbers.counted(m[0])),
]
