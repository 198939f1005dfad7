"""Chinese rules: money, percentages, units and scores that the grammar reads wrongly."""

import re

from indextts_jax.text.rules import units
from indextts_jax.text.rules.chinese import numbers, say
from indextts_jax.text.rules.chinese.codes import START
from indextts_jax.text.rules.english.amounts import NUMBER
from indextts_jax.text.rules.spans import PLACE, Rule, rule

_NAME = units.alternatives({**units.CHINESE, **units.CHINESE_RATES})
_BELOW = units.alternatives({**units.CHINESE, **units.CHINESE_PERIODS})
_UNIT = rf"(?:{_NAME})(?:/(?:{_BELOW})(?![A-Za-z]))?"
_MONEY = units.alternatives(units.MONEY)
_END = r"(?![A-Za-z0-9²³])"
_TO = r"\s?[-–—~～至到]\s?"
_SCALE = r"\s?(万亿|[万亿千百]|million|billion|thousand|[kKM](?![A-Za-z]))?"
_PLACE = PLACE.pattern[1:-1]
_PER = (
    rf"(?:[月年天日周时分秒人次斤㎡平吨个晚件台套股桶升度克千位只辆间亩{_PLACE}]|小时|公斤|公里|立方"
    "|m²|kg|km|L(?![A-Za-z]))"
)
_SIGN = r"(?P<sign>(?<![0-9A-Za-z)）])[-−])?"
_GAME = re.compile("比分|胜|负|战|平|击败|赢|输|领先|落后|逆转|总分|险|横扫|败|不敌|力克|拿下")
_GAME_AFTER = (
    "大胜|战胜|险胜|战平|击败|力克|逆转|领先|落后|不敌|轻取|横扫|完胜|获胜|取胜|赢|胜|输|负|的比分"
)


# Before these, 2 is 两.
_TWO = (
    "(?:汤匙|组(?!成)|茶匙|[勺滴粒颗片根道副对处项届个台斤只条张本位名件款种倍次天周岁吨元块辆家间杯瓶碗盒包支把双套米人秒座棵头匹场句步遍"
    rf"趟口]|年(?![级代])|点(?:[钟整半到的，。,]|\d+分|[{_PLACE}]|$)|公[斤里]|小时|分钟|平方|千米|厘米|层楼)"
)


def _minus(match: re.Match[str]) -> str:
    return "负" if match["sign"] else ""


def _money(match: re.Match[str]) -> str:
    words = say.money(match[1], match[2], match[3])
    return words + ("每" if match[4] else "")


def _scaled(match: re.Match[str]) -> str:
    amount, scale, sign = match[2], match[3], match[4]
    if not scale:
        return _minus(match) + say.measure(amount, sign)
    name = units.chinese(sign)
    return f"{_minus(match)}{numbers.decimal(amount)}{scale}{name}"


def _numbered(match: re.Match[str]) -> str:
    if len(match[1]) < 4 and match[1][0] != "0":
        return f"第{numbers.decimal(match[1])}"
    return f"编号{say.code(match[1])}"


def _score(match: re.Match[str]) -> str:
    around = match.string[max(0, match.start() - 12) : match.end() + 8]
    first, second = numbers.decimal(match[1]), numbers.decimal(match[2])
    won = _GAME.search(around) or int(match[1]) >= int(match[2])
    return f"{first}{'比' if won else '到'}{second}"


def _inch(match: re.Match[str]) -> bool:
    """Whether the mark stands for inches, not for the end of a quotation."""
    before = match.string[: match.start()]
    quotes = len(re.findall(r'(?<!\d)"', before))
    return match[0][-1] == "″" or (quotes % 2 == 0 and "“" not in before[-20:])


def _place(match: re.Match[str]) -> str:
    """Degrees, minutes and seconds of an angle, with the side of the world before them."""
    degrees, minutes, seconds, side = match[1], match[2], match[3], match[4]
    words = f"{numbers.decimal(degrees)}度{numbers.decimal(minutes)}分"
    if seconds:
        words += f"{numbers.decimal(seconds)}秒"
    sides = {"N": "北纬", "S": "南纬", "E": "东经", "W": "西经"}
    return sides.get(side or "", "") + words


# Behind a month and a day, where a fraction would not be.
_DATED = re.compile(
    r"\s?[\U000f0000-\U000ffffd]|是(?![\d约分])|当[天日晚]|[早晚][上会]?|上午|下午|中午|凌晨|举行|开[始幕业]|之?[前后]|那天|周"
)


# Scores and blood pressures are left to later rules.
_NOT_PARTS = re.compile(r"(?:评分|得分|打分|分数|考了|打了|打|血压)[是为：:]?\s?$")


_PARTS = "[页张集章节季步题轮局场关组批册卷幕回]|部分|阶段"


def _three(match: re.Match[str]) -> str:
    """`28/8/11`: a day of a year of two digits, if it can be one; else three numbers."""
    year, month, day = match[0].split("/")
    if int(year) > 12 and 0 < int(month) < 13 and 0 < int(day) < 32:
        month, day = (numbers.decimal(part.lstrip("0")) for part in (month, day))
        return f"{numbers.year(year)}年{month}月{day}日"
    return "、".join(map(numbers.decimal, (year, month, day)))


def _fraction(match: re.Match[str]) -> str | None:
    whole, above, below = match["whole"], match["above"], match["below"]
    if int(below) < 2 or (above, below) in (("24", "7"), ("7", "24"), ("985", "211")):
        return None
    before = match.string[max(0, match.start() - 8) : match.start()]
    if _NOT_PARTS.search(before) or match.string.startswith("毫米汞柱", match.end()):
        return None
    dated = not whole and 0 < int(above) < 13 <= int(below) < 32
    if dated and _DATED.match(match.string, match.end()):
        return f"{numbers.decimal(above)}月{numbers.decimal(below)}日"
    words = f"{numbers.decimal(below)}分之{numbers.decimal(above)}"
    return _minus(match) + (f"{numbers.decimal(whole)}又{words}" if whole else words)


def _counted(amount: str, after: str) -> str:
    """The last number of a range: 2 is 两 before a measure word."""
    return "两" if amount == "2" and re.match(_TWO, after) else numbers.decimal(amount)


def _range(match: re.Match[str]) -> str | None:
    first, last = match["first"], match["last"]
    if float(first) >= float(last) and "-" in match[0]:
        return None
    before = match["number"] or ""
    after = match.string[match.end() :]
    start = numbers.ordinal(first) if before else _counted(first, after)
    end = numbers.ordinal(last) if before else _counted(last, after)
    return f"{before}{_minus(match)}{start}到{end}"


def _product(match: re.Match[str]) -> str:
    *sides, unit = match.groups()
    words = "乘".join(numbers.decimal(side) for side in sides if side)
    return words + (units.chinese(unit) if unit else "")


_RANGED = (
    "[个人间次块万亿年天条张名家位台件款种多余页份分遍倍米趟本岁层周月日号只架辆艘座所处节亩吨克斤升平桌杯瓶"
    "盒箱包袋封部篇首场局轮圈步级秒度成折股字项套副楼点元角时公小美英厘毫千百摄章课集季期届代排列组队班等"
    "口头匹根片粒滴勺匙码寸尺丈里亿倍道线]"
)
FRACTIONS: list[Rule] = [
    rule(
        r"(?<![\d/.])\d{1,2}(?:/\d{1,2}){2,}(?=号线|号楼|年级|单元|号门)",
        lambda m: "、".join(map(numbers.decimal, m[0].split("/"))),
    ),
    rule(
        rf"第\s?(\d{{1,4}})\s?/\s?(\d{{1,4}})\s?({_PARTS})",
        lambda m: f"第{numbers.decimal(m[1])}{m[3]}，共{numbers.decimal(m[2])}{m[3]}",
    ),
    rule(r"(?<![\d/.:])\d{1,2}(?:/\d{1,2}){2}(?![\d/:]|\.\d)", _three),
    rule(
        r"(?<![\d/.])(\d{1,9})\s/\s(\d{1,9})(?=\s?=)",
        lambda m: f"{numbers.decimal(m[1])}除以{numbers.decimal(m[2])}",
    ),
    rule(
        r"(?<=[表图式题例])(\d{1,2})-(\d{1,2})(?![\d-]|[年月日号人天个级])",
        lambda m: f"{numbers.decimal(m[1])}杠{numbers.decimal(m[2])}",
    ),
    rule(
        r"(?P<word>血压[是为：:]?\s?)(?P<above>\d{2,3})/(?P<below>\d{2,3})(?![\d/.])(?!\s?(?:mmHg|毫米))",
        lambda m: f"{m['word']}{numbers.decimal(m['above'])}比{numbers.decimal(m['below'])}",
    ),
    rule(
        r"(?<![\d/.])(\d{1,2})/(\d{1,2})(?=妇女节|儿童节|劳动节|国庆|黄金周|假期|小长假|建军节|青年节)",
        lambda m: numbers.year(m[1] + m[2]),
    ),
    rule(
        rf"{START}(\d{{1,3}}(?:\.\d+)?)\s?°\s?(\d{{1,2}})\s?['’′](?:\s?(\d{{1,2}}(?:\.\d+)?)\s?(?:[\"”″]|''|′′))?"
        r"\s?([NSEW](?![A-Za-z]))?",
        _place,
    ),
    rule(
        rf"{START}(\d{{1,3}}(?:\.\d+)?)\s?°\s?([NSEW])(?![A-Za-z])",
        lambda m: (
            {"N": "北纬", "S": "南纬", "E": "东经", "W": "西经"}[m[2]]
            + numbers.decimal(m[1])
            + "度"
        ),
    ),
    rule(
        r"(?P<sign>(?<![0-9A-Za-z)）])[-−])?(?<![\d.,/:])(?<!\d[-~])(?:(?P<whole>\d{1,3})[ 又])?"
        r"(?P<above>\d{1,4})/(?P<below>\d{1,4})(?![\d/:]|\.\d|[A-Za-z])(?!(?:号|假期|黄金周|国庆|劳动节|儿童节|妇女节|周[一二三四五六日天]))",
        _fraction,
    ),
]

RULES: list[Rule] = [
    rule(
        rf"({_MONEY})\s?({NUMBER}){_TO}(?:{_MONEY})?\s?({NUMBER}){_SCALE}元?",
        lambda m: f"{numbers.decimal(m[2])}到{say.money(m[1], m[3], m[4])}",
    ),
    rule(rf"({_MONEY})\s?({NUMBER}){_SCALE}(?:美元|元)?(\s?/\s?(?=[\u4e00-\u9fff]))?", _money),
    rule(
        rf"{START}({NUMBER}){_SCALE}\s?({_MONEY})(?![A-Za-z])(?:美元|元)?",
        lambda m: say.money(m[3], m[1], m[2]),
    ),
    rule(
        rf"{START}({NUMBER})\s?%?{_TO}({NUMBER})\s?%",
        lambda m: f"百分之{numbers.decimal(m[1])}到百分之{numbers.decimal(m[2])}",
    ),
    rule(rf"{_SIGN}{START}({NUMBER})\s?%", lambda m: f"{_minus(m)}百分之{numbers.decimal(m[2])}"),
    rule(
        rf"{START}(\d{{2,3}})/(\d{{2,3}})\s?(?:mmHg|毫米汞柱)",
        lambda m: f"{numbers.decimal(m[1])}比{numbers.decimal(m[2])}毫米汞柱",
    ),
    rule(
        rf"{_SIGN}{START}({NUMBER}){_TO}(?P<below>[-−])?({NUMBER})\s?({_UNIT}){_END}",
        lambda m: (
            f"{_minus(m)}{numbers.decimal(m[2])}到"
            f"{'负' if m['below'] else ''}{say.measure(m[4], m[5])}"
        ),
    ),
    rule(
        r"(?<![A-Za-z0-9.,])(\d+)\s?h\s?(\d+)\s?m(?:in)?(?:\s?(\d+)\s?s)?(?![A-Za-z0-9])",
        lambda m: (
            f"{numbers.counted(m[1])}小时{numbers.decimal(m[2])}分钟"
            + (f"{numbers.decimal(m[3])}秒" if m[3] else "")
        ),
    ),
    rule(
        rf"{_SIGN}{START}({NUMBER})\s?({_UNIT}){_TO}(?P<below>[-−])?({NUMBER})\s?({_UNIT}){_END}",
        lambda m: (
            f"{_minus(m)}{say.measure(m[2], m[3])}到{'负' if m['below'] else ''}"
            f"{say.measure(m[5], m[6])}"
        ),
    ),
    rule(
        rf"{START}(\d+(?:\.\d+)?)\s?[xX×*]\s?(\d+(?:\.\d+)?)(?:\s?[xX×*]\s?(\d+(?:\.\d+)?))?"
        rf"\s?({_UNIT}){_END}",
        _product,
    ),
    rule(rf"{_SIGN}(?<![A-Za-z]){START}({NUMBER})([万亿千百])?\s?({_UNIT}){_END}", _scaled),
    rule(
        r"(?P<number>第\s?)(?P<sign>)(?P<first>\d{1,4})\s?[-–—~～至到]\s?第?(?P<last>\d{1,4})(?![\d.:/-])"
        r"(?=[\u4e00-\u9fff])",
        _range,
    ),
    rule(
        r"第\s?(\d{1,3}(?:,\d{3})+|\d{1,8})(?![\d.:/~～–—-]|,\d)",
        lambda m: "第" + numbers.ordinal(m[1].replace(",", "")),
    ),
    rule(
        rf"{START}(\d{{1,2}})秒(\d\d)(?!\d|[.秒])",
        lambda m: f"{numbers.decimal(m[1])}秒{numbers.year(m[2])}",
    ),
    rule(r"(?:№|[Nn]o\.|NO\.)\s?(\d+)(?!\d)", _numbered),
    rule(
        r"((?:比例|配比|比率|比值|之比)[是为约]?\s?)(\d{1,4})[:：](\d{1,4})(?![\d:：.])",
        lambda m: f"{m[1]}{numbers.decimal(m[2])}比{numbers.decimal(m[3])}",
    ),
    rule(
        rf"{START}(?<![-:/A-Za-z])(\d{{1,3}})[-–:：](\d{{1,3}})(?![\d:/.A-Za-z-]|\s?=)"
        rf"(?=\s*(?:{_GAME_AFTER}))",
        _score,
    ),
    rule(
        r"(?:(?<=比分)|(?<=比分是)|(?<=比分为)|(?<=以)|(?<=[胜负平赢输]))\s?"
        r"(\d{1,3})[-–](\d{1,3})(?![\d:/.A-Za-z-])",
        _score,
    ),
    rule(
        rf"{START}(?<![-:/A-Za-z])(\d{{1,3}})-(\d{{1,3}})(?=\W*$|、\d{{1,3}}-\d{{1,3}}(?!\d))",
        _score,
    ),
    rule(
        rf"(?P<number>){_SIGN}{START}(?<![-:/A-Za-z第])(?P<first>\d+(?:\.\d+)?)(?:\s?[-–—~～]\s?)(?P<last>\d+(?:\.\d+)?)"
        rf"(?=\s?{_RANGED})(?!\s?(?:分(?![钟之])|月\d))",
        _range,
    ),
    rule(
        rf"{START}(\d+(?:\.\d+)?)\s?[xX×*]\s?(\d+(?:\.\d+)?)(?![0-9A-Za-z]|\.\d)",
        lambda m: f"{numbers.decimal(m[1])}乘{numbers.decimal(m[2])}",
    ),
    rule(
        r"(?<![\w.])(\d{1,3}(?:\.\d)?)\s?[\"”″](?=\s?(?:电视|显示|屏|液晶|平板|笔记本|披萨|蛋糕|轮|的|大|寸))",
        lambda m: f"{numbers.decimal(m[1])}英寸" if _inch(m) else None,
    ),
    rule(
        r"(?<![\w.])(\d)['’′](\d{1,2})(?:[\"”″]|'')",
        lambda m: f"{numbers.decimal(m[1])}英尺{numbers.decimal(m[2])}英寸",
    ),
    rule(
        rf"{START}(\d{{1,6}}),(\d\d)\s?(€|EUR)(?![A-Za-z])",
        lambda m: say.money(m[3], f"{m[1]}.{m[2]}"),
    ),
    rule(
        rf"{START}(\d+(?:\.\d+)?)([kKwW])[-–—~～](\d+(?:\.\d+)?)([kKwW])(?![A-Za-z])",
        lambda m: f"{numbers.decimal(m[1])}{m[2]}到{numbers.decimal(m[3])}{m[4]}",
    ),
    rule(
        r"(?<=元)/(\d{1,3})(?=\s?(?:分钟|小时|天|个?月|年|公里|千米|次|人|斤|公斤|克|平|kg|km|min|h|GB))",
        lambda m: f"每{numbers.counted(m[1])}",
    ),
    rule(rf"{START}(\d+)\s?[¢￠]", lambda m: f"{numbers.counted(m[1])}美分"),
    rule(rf"{START}\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?(?![\d,])", lambda m: numbers.decimal(m[0])),
    rule(r"(?<=[日号月])\s?[-–—~～]\s?(?=\d{1,2}[日号月])", lambda m: "到"),
    rule(rf"{START}24/7(?!\d)(?:\s?小时)?", lambda m: "七乘二十四小时"),
    rule(
        rf"{START}(\d{{1,2}})(?=(?:号楼|号院|单元|号门|号线|号[馆厅机桌厂仓库])(?!元))",
        lambda m: numbers.decimal(m[1]),
    ),
    rule(
        rf"{START}(\d)米(\d\d)(?![\d.]|[米个])",
        lambda m: f"{numbers.counted(m[1])}米{numbers.year(m[2])}",
    ),
    rule(
        r"(?P<word>评分|得分|打分|分数|考了|打了|打)(?P<is>[是为：:]?\s?)(?P<got>\d+(?:\.\d+)?)"
        r"/(?P<all>5|10|100|150)(?:分|(?![\d/.]))",
        lambda m: (
            f"{m['word']}{m['is']}{numbers.decimal(m['got'])}分,满分{numbers.decimal(m['all'])}分"
        ),
    ),
    rule(rf"{START}(?<![第周~–/A-Za-z-])2(?={_TWO})", lambda m: "两"),
    rule(rf"(?<=[{_PLACE}])\s?[~～–—]\s?(?=[\d{_PLACE}])", lambda m: "到"),
    rule(
        rf"(?<=[{_PLACE}])\s?[-~～–—]\s?(?=次日|翌日|当日|第二天|凌晨|今日|明日|至今|今)",
        lambda m: "到",
    ),
    rule(
        r"(?<![A-Za-z0-9²³/])(?:km²|m²|cm²|mm²|dm²|m³|cm³|mm³|dm³|km³)(?![A-Za-z0-9])",
        lambda m: units.chinese(m[0]),
    ),
    rule(r"(?<=约)\s?[~～]\s?(?=[\d\U000f0000-\U000ffffd])", lambda m: ""),
    rule(
        r"(?<![\d\U000f0000-\U000ffffd了吧啊呀哦啦呢嘛哈嘿喔哟的~～日号月])\s?[~～]\s?(?=[\d$￥¥\U000f0000-\U000ffffd])",
        lambda m: "约",
    ),
    rule(rf"{START}(\d+(?:\.\d+)?)\s?‰", lambda m: f"千分之{numbers.decimal(m[1])}"),
    rule(
        r"(?<![\d·])(?!\d·\d(?!\d|事变|运动|假|劳动|黄金周|长假|国际|小长假))(\d{1,2})·(\d{1,2})(?![\d·]|\s?=)",
        lambda m: numbers.digits(m[1] + m[2], one="幺" if "3·15" in m[0] else "一"),
    ),
    rule(
        rf"(?<=[元块万亿次个台斤吨分人件套股度页字克升{_PLACE}])\s?/\s?(?:(㎡|m²|m³|kg|km|L)(?![A-Za-z])|(?={_PER}))",
        lambda m: "每" + units.CHINESE.get(m[1] or "", ""),
    ),
    rule(rf"(?<=[{_PLACE}])/(?=[瓶袋盒包箱罐桶杯支片粒张页层]|份(?!之))", lambda m: "每"),
    rule(
        r"(?:(?<=^)|(?<=[。；，：！？;,:!?]))\s?(\d{1,2})[)）]\s?(?=[\u4e00-\u9fffA-Za-z])",
        lambda m: (
            f"{numbers.decimal(m[1])}，"
            if not re.search(r"[(（][^)）]*$", m.string[: m.start()])
            else None
        ),
    ),
    rule(r"(?<=一式)2(?=[份联页])", lambda m: "两"),
    rule(rf"(?<=[万亿千百{_PLACE}])\+(?!\s?\d)", lambda m: "加"),
    rule(rf"{START}\d+\.\d+(?!\d|\.\d)", lambda m: numbers.decimal(m[0])),
]
