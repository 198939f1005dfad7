"""Chinese rules: numbers that are names, read digit by digit."""

import re

from indextts_jax.text.rules.chinese import numbers, say
from indextts_jax.text.rules.english.codes import EMAIL, PATH, SECRET, URL
from indextts_jax.text.rules.spans import Rule, rule

_FOLDERS = r"(?<![\w\\])[A-Za-z]:\\[\w.\\\u4e00-\u9fff-]*"
_UNDERSCORED = r"(?<![\w/.@-])[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+(?![\w@])"
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"


def _plate(match: re.Match[str]) -> str | None:
    """`京A·12345`: the number plate of a car."""
    if not any(character.isdecimal() for character in match[2]):
        return None
    return match[1] + say.code(match[2])


ADDRESSES: list[Rule] = [
    rule(rf"(?<=[{_PROVINCES}])([A-Z])\s?[·•.]?\s?([A-Z0-9]{{5,6}})(?![A-Za-z0-9])", _plate),
    rule(r"(?<![A-Za-z0-9])u1s1(?![A-Za-z0-9])", lambda m: "有一说一"),
    *(
        rule(pattern, lambda m: say.address(m[0]))
        for pattern in (EMAIL, URL, SECRET, _FOLDERS, PATH, _UNDERSCORED)
    ),
]

START = r"(?<![0-9.,])"  # start of a number, possibly after a letter
NAME_START = r"(?<![A-Za-z0-9.])"
END = r"(?![0-9])"
_PROVINCE = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_IS = (
    r"(?:号码|编号|号|码|是|为|叫|改为|改成|请拨打|请拨|拨打|尾号|[：:＃#“\"‘（(]|\s|[Nn]o\.?"
    r"|到|了){0,4}"
)
_CODED = (
    "动态码|车位|提货码|兑换码|核销码|优惠码|安全码|取餐号|取件号|文号|准考证|房间|房号|客房|包间|包厢|病房|教室|会议室|办公室|宿舍|寝室|门牌|座位|房|编号|代号|订单|单号"
    "|运单|快递|账号|帐号|账户|卡号|密码|口令|验证码|校验码|邀请码|取件码|提取码|学号|工号|证号"
    "|身份证|护照|驾驶证|驾照|社保|邮编|邮政编码|尾号|代码|股票|序列号|流水号|车牌|航班|班机|车次"
    "|列车|区号|会员|批号|型号|条码|合同|发票|保单|案号|警号|条形码|识别码|微信|暗号|门禁|车厢号"
    "|国道|省道|县道|分机|端口|内线|(?<![A-Za-z])(?:ISBN|ISSN|ID|PIN|QQ|VIN|OTP|[Rr]oom|[Ff]light)"
)
_PHONES = (
    "电话|手机|座机|热线|拨打|拨|致电|传真|客服|联系方式|联系|呼叫|短信|号码|咨询|来电|报警|打"
    "|(?<![A-Za-z])(?:TEL|Tel|tel)"
)
# Measure words: a number before one is a quantity, whatever precedes it.
COUNTED = re.compile(
    r"\s*(?:[个人间次元块万亿年天条张名家位台件款种多余%页笔份分遍通倍米趟本岁层周月只架辆艘座所处节"
    r"亩吨克斤升平桌杯瓶盒箱包袋封部篇首场局轮圈步级秒度成折股字项票套副]|美元|公里|公斤|小时|左右|以上)"
)
CALLED = ("110", "112", "114", "119", "120", "122")
_NAMED = re.compile("号|码|是|为|[:：#]")
_OWNED = re.compile("电话|手机|座机|短信|来电|联系|咨询|客服|传真")
_SECRET = re.compile("密码|口令|码|尾号|PIN|QQ|ID|邮编")
_ROOM = "号?(?:房间|房(?![子价产贷屋地])|室|包间|包厢|病房|教室|办公室|宿舍|会议室|诊室|医院)"


def _coded(match: re.Match[str]) -> str | None:
    word, between, text = match["word"], match["between"], match["code"]
    figures = re.sub(r"\D", "", text)
    if re.fullmatch(r"\d{1,2}", text) and text[0] != "0" and not _SECRET.search(word + between):
        return None
    if len(figures) < 3 and re.fullmatch("打|拨|联系|号码|客服|咨询", word):
        return None
    owned = _OWNED.fullmatch(word) and not _NAMED.search(between) and text not in CALLED
    if owned and len(figures) < 5:
        return None  # 手机3999 is a price
    after = match.string[match.end() :]
    if not _NAMED.search(word + between) and COUNTED.match(after):
        return None
    return f"{word}{between}{say.code(text)}"


def _abroad(match: re.Match[str]) -> str | None:
    if len(re.sub(r"\D", "", match[2])) < 7:
        return None
    return f"加{numbers.digits(match[1])},{say.code(match[2])}"


def _standard(text: str) -> str:
    return (
        re.sub(r"\d+", lambda part: numbers.year(part[0]), text)
        .replace(".", "点")
        .replace("-", "杠")
    )


def _digits(match: re.Match[str]) -> str:
    return say.code(match[0])


def _door(match: re.Match[str]) -> str:
    number = re.match(r"\d*", match["house"])[0]  # type: ignore[index]
    house = match["house"][len(number) :]
    return (numbers.decimal(number) if number else "") + house + say.code(match["door"])


RULES: list[Rule] = [
    rule(
        rf"{START}\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?!\d|\.\d)",
        lambda m: "点".join(map(numbers.year, m[0].split("."))),
    ),
    rule(rf"{NAME_START}([vV]|ver)\.?\s?(\d+(?:\.\d+)+){END}", lambda m: m[1] + say.dotted(m[2])),
    rule(rf"{START}\d+(?:\.\d+){{2,}}(?!\d)", lambda m: say.dotted(m[0])),
    rule(
        rf"([{_PROVINCE}])([A-Z])\s?[·•.-]?\s?([A-Z0-9]{{5,6}}(?![A-Za-z0-9])|[A-Z0-9]{{4}}(?=[港澳学警挂领]))",
        lambda m: f"{m[1]}{m[2]}{say.code(m[3])}" if re.search(r"\d", m[3]) else None,
    ),
    rule(
        r"(?<![\dA-Za-z-])(7[0-8]7|A3[1-8]0)-(\d{1,4})(?![\d-])",
        lambda m: f"{say.code(m[1]).replace('幺', '一')}杠{say.label(m[2])}",
    ),
    rule(
        r"(?<![\w*.])(\d{1,6})\*{2,12}(\d{1,6})(?![\w*.])",
        lambda m: f"{say.code(m[1])}星号{say.code(m[2])}",
    ),
    rule(r"(?<![\w.])0[xX]([0-9A-Fa-f]{1,16})(?!\w)", lambda m: f"零X{say.code(m[1])}"),
    # Standards: ISO 9001-2015, GB/T 19001—2016.
    rule(
        r"(?<![A-Za-z])((?:ISO|IEC|GB|GBT|GJB|DIN|EN|ANSI|ASTM|JIS|IEEE|HJ|JGJ|CJJ|QB|YY|SN|DB|BS)(?:/[A-Z]{1,4})?)\s?"
        r"(\d{2,6}(?:[.-]\d{1,3})?)\s?[-–—:：]\s?((?:19|20)\d\d)(?!\d)",
        lambda m: f"{m[1].replace('/', ' ')} {_standard(m[2])}杠{numbers.year(m[3])}",
    ),
    rule(rf"{START}[1-9]\d{{5}}(?:18|19|20)\d{{9}}[\dXx](?![A-Za-z0-9])", _digits),
    rule(rf"{START}\+\s?(\d{{1,3}})[ -]?((?:\d+[ -]?)+\d){END}", _abroad),
    rule(rf"{START}1[3-9]\d[ -]?\d{{4}}[ -]?\d{{4}}{END}", _digits),
    rule(rf"{START}\d{{4}}(?:[ -]\d{{4}}){{2,4}}(?:[ -]?\d{{1,3}})?{END}", _digits),
    rule(
        rf"{START}(?:[(（]0\d{{2,3}}[)）]|0\d{{2,3}}[- ])\s?\d{{3,4}}[ -]?\d{{4}}"
        rf"(?:[-转]\d{{1,5}})?{END}",
        _digits,
    ),
    rule(rf"{START}\(?\d{{3}}\)?[ -]\d{{3}}-\d{{4}}{END}", _digits),
    rule(rf"{START}[48]00[- ]?\d{{3,4}}[- ]?\d{{3,4}}{END}", _digits),
    rule(rf"{START}(?<!第)(?:12306|10086|10010|955\d\d)(?!\d|[.,]\d|{COUNTED.pattern})", _digits),
    rule(
        r"(?<![\d.,])(985|211)\s?[/、]\s?(985|211)(?!\d)",
        lambda m: f"{say.code(m[1])},{say.code(m[2])}",
    ),
    rule(rf"{START}97[89]-[\d-]+[\dXx](?![\d-])", _digits),
    rule(
        rf"(?P<word>{_PHONES})(?P<between>{_IS})"
        r"(?P<code>\(?\+?\d[\d -]{1,18}\d)(?![0-9.:：%]|-|点)",
        _coded,
    ),
    rule(
        rf"(?P<word>{_CODED})(?P<between>{_IS})(?P<code>[A-Za-z]{{0,4}}-?\d[A-Za-z0-9]*"
        r"(?:-[A-Za-z0-9]+)*(?:\s\d{3,4}(?![\dA-Za-z]))*)(?![0-9A-Za-z]|[.:：]\d|\s?%|-)",
        _coded,
    ),
    rule(
        rf"{NAME_START}((?=\d?[A-Z])[A-Z0-9]{{2}})\s?(\d{{3,4}})(?=\s?(?:次|航班|班机|号航班))",
        lambda m: say.code(m[1] + m[2]),
    ),
    rule(
        rf"{NAME_START}([GDCKTZYL])(\d{{1,4}})(?=\s?(?:次|列车|高铁|动车|号列车))",
        lambda m: m[1] + (say.code(m[2]) if len(m[2]) > 2 else numbers.decimal(m[2])),
    ),
    rule(
        rf"{START}\d{{3,4}}(?=\s?(?:{_ROOM}|路(?:公交|车|(?=[，。,、到的在从公]|$))"
        r"|国道|省道|高校|院校|大学|工程|工作制))",
        _digits,
    ),
    # After a part of a building a number is that of a door.
    rule(
        rf"(?P<house>\d*(?:单元|号楼|[座栋幢]|楼))\s?(?P<door>\d{{3,4}})"
        rf"(?![\d.:：%万亿]|{COUNTED.pattern})",
        _door,
    ),
]
