"""English rules: money, percentages, units, ordinals, fractions, ranges, scores, sums."""

import re

from indextts_jax.text.rules import units
from indextts_jax.text.rules.english import numbers, say
from indextts_jax.text.rules.spans import Rule, rule

NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_START = r"(?<![\w.,])"  # where a number may begin
SIGNED = r"(?<![\w.,])(?<![A-Za-z]-)(?P<sign>(?:(?<!\S)|(?<=\())[-−–])?"
_END = r"(?![A-Za-z0-9²³])"
_TO = r"\s?[-–—~]\s?"
_SCALE = r"(?:\s?(million|billion|trillion|thousand|bn|mn|[kKmMbBT])\b)?"
_NAME = units.alternatives(units.ENGLISH)
UNIT = rf"(?:{_NAME})(?:\s?/\s?(?:{_NAME}|{'|'.join(units.PER)})(?![A-Za-z]))?"
_MONEY = units.alternatives(units.MONEY)
_PERIODS = {"mo": "month", "yr": "year", "hr": "hour", "h": "hour", "d": "day", "wk": "week"}
_BOOKS = (
    "Genesis|Exodus|Leviticus|Deuteronomy|Samuel|Kings|Chronicles|Psalms?|Proverbs|Ecclesiastes"
    "|Isaiah|Jeremiah|Ezekiel|Daniel|Matthew|Mark|Luke|John|Acts|Romans|Corinthians|Galatians"
    "|Ephesians|Philippians|Colossians|Timothy|Hebrews|James|Revelation|Quran|Surah"
)
_GAME = re.compile(r"\b(?:w[io]n|beat|los[te]|scor|victor|draw|lead|led|tied?|defeat|down|up)")


def _minus(match: re.Match[str]) -> str:
    return "minus " if match["sign"] else ""


_DEALS = (
    "deal|contract|home|house|grant|fund|loan|project|budget|lawsuit|prize|salary|bill|fine|gap|plan"
    "|investment|bond|company|mansion|program|package|settlement|donation|jackpot|round|bonus|check"
)


def _money(match: re.Match[str]) -> str:
    unit = match[4] and units.ENGLISH.get(match[4], (match[4],))[0]
    period = f" per {_PERIODS.get(match[4], unit)}" if match[4] else ""
    article = re.search(r"\b[Aa]n? $", match.string[: match.start()])
    after = match.string[match.end() :]
    one_thing = bool(article and re.match(r"[ -][a-z]", after)) or bool(
        match[3] and re.match(rf"[ -](?:{_DEALS})\b", after)
    )
    minus = "minus " if match[0][0] in "-−" else ""
    return minus + say.money(match[1], match[2], match[3], one_thing=one_thing) + period


def _measure(match: re.Match[str]) -> str | None:
    amount, sign = match[2], match[3]
    if sign == "s" and re.fullmatch("7[0-8]7", amount):
        return None  # airliners
    if (
        sign == "in"
        and match[0][-1] != "."
        and re.match(r"\s+[^\s.,;:)]", match.string[match.end() :])
    ):
        return None  # 5 in the morning
    return _minus(match) + _unit(match, amount, sign)


def _size(match: re.Match[str]) -> str:
    *sides, unit = match.groups()
    words = [say.label(s) if len(s) > 2 and not unit else say.quantity(s) for s in sides if s]
    if not unit:
        return " by ".join(words)
    return " by ".join(words) + f" {units.english(unit)[0 if _describes(match) else 1]}"


def _duration(match: re.Match[str]) -> str:
    hours, minutes, seconds = match.groups()
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(say.measure(amount, unit) for amount, unit in parts if amount)


def _numbered(text: str) -> str:
    return numbers.digits(text) if len(text) > 3 or text[0] == "0" else say.quantity(text)


def _score(match: re.Match[str]) -> str | None:
    around = match.string[max(0, match.start() - 60) : match.end() + 40].lower()
    if not _GAME.search(around):
        return None
    return f"{say.quantity(match[1])} to {say.quantity(match[2])}"


def _range(match: re.Match[str]) -> str:
    """`5-10` is a range, `5 - 3` is a difference."""
    first, last = match[1].replace(",", ""), match[2].replace(",", "")
    minus = " - " in match[0] and float(first) > float(last)
    return f"{say.quantity(match[1])} {'minus' if minus else 'to'} {say.quantity(match[2])}"


def _inches(match: re.Match[str]) -> bool:
    """Whether the quotation mark stands for inches, not for the end of a quotation."""
    return match[0][-1] == "″" or match.string[: match.start()].count('"') % 2 == 0


def _and_a_half(match: re.Match[str]) -> str | None:
    part = say.fraction(match[2], match[3])
    if part is None:
        return None
    return f"{say.quantity(match[1])} and {re.sub('^one (?=half|quarter|third)', 'a ', part)}"


_DETERMINED = re.compile(
    r"\b(?:an?|the|this|that|his|her|my|our|your|their|its|each|every|another|one|no|any|first|last|new|old"
    r"|single|whole|full|two|three|four|five|six|seven|eight|nine|ten|several|some|these|those|both|few|many)\s$",
    re.IGNORECASE,
)
# What follows a measure and is not the thing that it describes.
_NOT_A_THING = frozenset([
    "of", "in", "on", "at", "by", "to", "for", "from", "with", "and", "or", "but", "is", "was",
    "are", "were", "be", "been", "has", "had", "have", "will", "would", "can", "could", "as",
    "than", "that", "this", "these", "those", "if", "when", "while", "after", "before", "until",
    "till", "since", "per", "a", "an", "the", "he", "it", "she", "they", "we", "i", "you", "my",
    "his", "her", "their", "our", "its", "your", "not", "less", "more", "heavier", "lighter",
    "longer", "shorter", "taller", "wider", "deeper", "higher", "lower", "faster", "slower",
    "closer", "further", "farther", "bigger", "smaller", "wide", "tall", "long", "high", "deep",
    "thick", "old", "away", "ago", "apart", "each", "every", "all", "above", "below", "over",
    "under", "up", "down", "out", "off", "then", "so", "yet", "later", "earlier", "early", "late",
    "behind", "ahead", "inside", "outside", "into", "onto", "through", "across", "along",
    "around", "about", "against", "between", "during", "without", "within", "near", "north",
    "south", "east", "west", "today", "tomorrow", "yesterday", "now", "here", "there", "only",
    "too", "also", "again", "left", "right", "total", "together", "overnight", "plus", "minus",
    "times", "divided", "via", "vs", "versus", "because", "though", "although", "who", "which",
    "what", "where", "how", "whereas", "once", "just", "even", "still", "already", "almost",
    "nearly", "straight", "back", "forth", "forward", "onwards", "seems", "upstream", "downhill",
    "uphill", "should", "must", "may", "might", "did", "does", "do", "equals", "makes", "made",
    "means", "gives", "remain", "remains", "became", "becomes", "went", "goes", "comes", "came",
    "fell", "rose", "gained", "lost", "square", "cubic", "worth",
])  # fmt: skip
_THINGS = (
    "batter(?:y|ies)|lens(?:es)?|bulbs?|cameras?|races?|walks?|relays?|hikes?|limits?|screens?|displays?"
    "|monitors?|files?|drives?|disks?|cards?|bags?|bottles?|packs?|engines?|motors?|chargers?|adapters?"
    "|cables?|pipes?|ropes?|poles?|sprints?|freestyle|butterfly|backstroke|breaststroke|swims?|tanks?"
    "|nails?|boards?|tablets?|doses?|capsules?|pills?|telescopes?|televisions?|dumbbells?|kettlebells?"
    "|hurdles|dash|steeplechase|marathons?|circuits?|outlets?|sockets?|panels?|plugs?|jars?|cans?|cartons?"
    "|sacks?|weights?|plates?|wires?|bolts?|screws?|film|processors?|amplifiers?|speakers?|heaters?"
)
_THING = re.compile(rf"\s(?:{_THINGS})\b")


def _describes(match: re.Match[str]) -> bool:
    """Whether a measure describes the thing behind it: `a 5 km run`, `12V batteries`."""
    after = re.match(r"\s([A-Za-z]+)\b", match.string[match.end() :])
    if not after or after[1].lower() in _NOT_A_THING or after[1].endswith("ly"):
        return False
    if _THING.match(match.string, match.end()):
        return True
    return bool(_DETERMINED.search(match.string[max(0, match.start() - 12) : match.start()]))


def _unit(match: re.Match[str], amount: str, sign: str) -> str:
    """A number with its unit, the unit in the singular where it describes a thing."""
    if _describes(match):
        return f"{say.quantity(amount)} {units.english(sign)[0]}"
    return say.measure(amount, sign)


def _of_a_unit(match: re.Match[str]) -> str | None:
    """`1/4 lb`: a quarter of a pound; `1 1/2 tsp`: one and a half teaspoons."""
    whole, above, below, sign = match["whole"], match["above"], match["below"], match["unit"]
    part = say.fraction(above, below)
    if sign == "pts":  # of a score
        return f"{say.quantity(above)} out of {say.quantity(below)} points"
    if part is None or int(above) >= int(below):
        return None
    one, several = units.english(sign)
    if whole:
        part = re.sub("^one (?=half|quarter|third)", "a ", part)
        return f"{say.quantity(whole)} and {part} {one if _describes(match) else several}"
    if (above, below) == ("1", "2"):
        return f"half {_article(one)}"
    return f"{re.sub('^one ', 'a ', part)} of {_article(one)}"


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeio' or word.startswith('hour') else 'a'} {word}"


_RATED = re.compile(
    r"\b(?:scor\w*|rat(?:e[ds]?|ing)|got|gets?|earn\w*|grades?|marks?|gave|giv\w*|solid|review|received?|awarded"
    r"|reviews?|pain|stars?|strong|easy|perfect)\b[^.;!?]{0,40}$|\b(?:a|an)\s$",
    re.IGNORECASE,
)


def _out_of(match: re.Match[str]) -> str | None:
    """A score: `7/10`, unless it is a part of something, or a fraction that is not a score."""
    above, below = float(match[1]), int(match[2])
    after = match.string[match.end() :]
    if above > below or re.match(r"\s(?:of|cups?|miles?|inch|inches|the way|full)\b", after):
        return None
    rated = _RATED.search(match.string[max(0, match.start() - 60) : match.start()])
    if re.match(r"\s(?:stars?|points?|marks)\b", after):
        return f"{say.quantity(match[1])} out of {say.quantity(match[2])}"
    usual = below in (10, 20, 50, 100) or (below == 5 and above == 5)
    if (above, below) in ((9, 11), (50, 50), (20, 20)):
        return None
    counted = below == 10 and (above == 10 or re.match(r"\s[a-z]+s\b", after))
    if not (counted or (rated and (usual or below in (5, 25, 30, 40, 60, 75, 80)))):
        return None
    return f"{say.quantity(match[1])} out of {say.quantity(match[2])}"


def _part(match: re.Match[str]) -> str | None:
    """`a 3/4-mile run`: three quarter mile; `2/3rds`: two thirds."""
    part = say.fraction(match[1], match[2])
    if part is None or match[0][-1] != "-":
        return part
    return f"{re.sub('s$', '', part)} "


_SECONDS = re.compile(
    r"\b(?:in|for|after|within|about|took|takes?|lasts?|lasted|under|over|wait\w*|than|every|only|just|until|at|is|was"
    r"|paused?|sleep|delay|timeout|exactly|around|approximately|nearly|almost|next|first|final"
    r"|remaining|another)\s$",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|several|some|few|many|all|no|of|the|both|more|these|those|her"
    r"|his|my|your|their|our|low|high|mid|upper|lower|any|pocket|rolled|roll|rolls|drew|draw|double|like|mostly|wrote|write"
    r"|into|perfect|straight|multiple|lots of|pair of|dozen)\s$",
    re.IGNORECASE,
)


def _plural(match: re.Match[str]) -> str | None:
    """`two 5s`: two fives; `in 5s` stays a time."""
    before = match.string[max(0, match.start() - 24) : match.start()]
    other = re.search(r"\d['’]?s,?\s(?:and|or|to)\s$", before) or re.match(
        r",?\s(?:and|or|to)\s\d+['’]?s\b", match.string[match.end() :]
    )
    several = _SEVERAL.search(before) and not _SECONDS.search(before)
    if not (several or "," in match[1] or match[2] or (other and not _SECONDS.search(before))):
        return None
    return numbers.plural(say.quantity(match[1]))


def _angle(match: re.Match[str]) -> str | None:
    """`39°54′N`: degrees, minutes and seconds, and the side of the world."""
    degrees, minutes, seconds, side = match.groups()
    if not minutes and not side:
        return None
    parts = ((degrees, "degree"), (minutes, "minute"), (seconds, "second"))
    plain = [(re.sub(r"^0(?=\d)", "", number), name) for number, name in parts if number]
    words = [f"{say.quantity(n)} {name}{'' if n == '1' else 's'}" for n, name in plain]
    return " ".join([*words, *([_SIDES[side]] if side else [])])


_SIDES = {"N": "north", "S": "south", "E": "east", "W": "west"}
_EURO = "€|EUR|Euros?|euros?"
COMMAS: list[Rule] = [
    rule(
        r"(?<![\w.,])(\d{1,3}(?:\.\d{3})+|\d+),(\d\d)\s?(?:€|EUR\b|euros?\b)",
        lambda m: say.money("€", f"{m[1].replace('.', '')}.{m[2]}"),
    ),
    rule(
        r"(?:€|EUR)\s?(\d{1,3}(?:\.\d{3})+|\d+),(\d\d)(?!\d|,\d)",
        lambda m: say.money("€", f"{m[1].replace('.', '')}.{m[2]}"),
    ),
    rule(
        r"(?<![\w.,])(\d{1,3}(?:\.\d{3})+)\s?(?:€|EUR\b)",
        lambda m: say.money("€", m[1].replace(".", "")),
    ),
    rule(
        rf"{_START}(\d{{1,4}}),(\d{{1,2}})\s?(%|(?:{UNIT}){_END})",
        lambda m: (
            f"{say.quantity(m[1] + '.' + m[2])} percent"
            if m[3] == "%"
            else say.measure(f"{m[1]}.{m[2]}", m[3])
        ),
    ),
    rule(
        r"(?P<before>\b(?:[Aa]bout|[Aa]round|[Aa]pproximately|[Rr]oughly|[Ss]ome|[Nn]early)\s)?"
        r"(?<![\w~/.])~\s?(?=[$€£¥]?\.?\d)",
        lambda m: m["before"] or "about ",
    ),
]
# A decimal without its zero: `r = -.45`; as a calibre it is a number.
POINTED: list[Rule] = [
    rule(
        r"(?<![\w.,…-])\.(\d\d)(?=[ -](?:cal\b|calib(?:er|re)|pistol|rifle|revolver|magnum|gun))",
        lambda m: say.quantity(m[1]),
        re.IGNORECASE,
    ),
    rule(
        r"(?<![\w.,…])(?:(?<![A-Za-z\d])([-−]))?\.(\d{1,6})(?![\w.])",
        lambda m: f"{'minus ' if m[1] else ''}point {numbers.digits(m[2], 'oh')}",
    ),
]

# Before the times of day: `John 3:16`.
VERSES: list[Rule] = [
    rule(
        rf"\b({_BOOKS})\s(\d{{1,3}}):(\d{{1,3}})(?:\s?[-–]\s?(\d{{1,3}}))?(?!\d)",
        lambda m: (
            f"{m[1]} {say.quantity(m[2])} {say.quantity(m[3])}"
            + (f" to {say.quantity(m[4])}" if m[4] else "")
        ),
    ),
]
RULES: list[Rule] = [
    *COMMAS,
    rule(
        rf"({_MONEY})\s?({NUMBER}){_TO}(?:{_MONEY})?\s?({NUMBER}){_SCALE}",
        lambda m: f"{say.quantity(m[2])} to {say.money(m[1], m[3], m[4])}",
    ),
    rule(rf"(?:(?<!\w)[-−])?({_MONEY})\s?({NUMBER}){_SCALE}(?:\s?/\s?([a-z]+))?", _money),
    rule(
        rf"{_START}({NUMBER}){_SCALE}\s?({_MONEY})(?![A-Za-z])",
        lambda m: say.money(m[3], m[1], m[2]),
    ),
    rule(
        rf"{_START}({NUMBER})\s?%?{_TO}({NUMBER})\s?%",
        lambda m: f"{say.quantity(m[1])} to {say.quantity(m[2])} percent",
    ),
    rule(
        rf"{SIGNED}({NUMBER})\s?%",
        lambda m: f"{_minus(m)}{say.quantity(m[2])} percent",
    ),
    rule(
        r"(?<![\w.,])(\d{1,3}(?:\.\d+)?)\s?°\s?(?:(\d{1,2}(?:\.\d+)?)\s?['’′]\s?)?(?:(\d{1,2}(?:\.\d+)?)\s?(?:[\"”″]|''|′′)\s?)?"
        r"([NSEW](?![A-Za-z]))?",
        _angle,
    ),
    rule(
        r"(?<![\w.])(\d)\s?(?:ft\.?|feet|foot|['’′])\s?(\d{1,2})"
        r"(?:\s?(?:in\.?|inches|[\"”″]|'')|(?=[\s,.;!?]|$))(?!\w)",
        lambda m: f"{say.quantity(m[1])} foot {say.quantity(m[2])}",
    ),
    rule(r"(?<![\w.,])(\d+)\s?h\s?(\d+)\s?m(?:in)?(?:\s?(\d+)\s?s)?(?!\w)", _duration),
    rule(r"(?<![\w.,])()(\d+)\s?m\s?(\d+)\s?s(?!\w)", _duration),
    rule(
        rf"(?<![\w.,/])({NUMBER})\s?/\s?({NUMBER})\s?({_NAME}){_END}",
        lambda m: f"{say.quantity(m[1])} over {say.measure(m[2], m[3])}" if "Hg" in m[3] else None,
    ),
    rule(
        rf"(?<![\w.,/])(?:(?P<whole>\d+)\s)?(?P<above>\d{{1,2}})\s?/\s?(?P<below>\d{{1,2}})[\s-]?(?P<unit>{_NAME}){_END}(?:\.(?=\s[a-z]))?",
        _of_a_unit,
    ),
    rule(r"(?<![\w.,$€£:/-])(\d{1,3}(?:,\d{3})+|\d+)(['’])?s\b", _plural),
    rule(
        r"(?:(?<=pressure )|(?<=pressure is )|(?<=pressure was )|(?<=pressure of ))"
        r"(\d{2,3})/(\d{2,3})(?![\w/])",
        lambda m: f"{say.quantity(m[1])} over {say.quantity(m[2])}",
    ),
    rule(
        rf"{_START}({NUMBER}){_TO}({NUMBER})\s?({UNIT}){_END}"
        r"(?:(?<! in)|(?=\.|\sof\b))(?:\.(?=\s[a-z]))?",
        lambda m: f"{say.quantity(m[1])} to {_unit(m, m[2], m[3])}",
    ),
    rule(
        r"(?<![\w.,$€£])(\d+(?:\.\d+)?)(?:″|[\"”](?=\s?[A-Za-z]))",
        lambda m: f"{say.quantity(m[1])} inch" if _inches(m) else None,
    ),
    rule(rf"{_START}({NUMBER})\s?¢", lambda m: say.money("$", f"0.{int(m[1]):02}")),
    rule(
        r"(?<![\w.,])(\d+(?:\.\d+)?)([KMB](?=\s+(?!is\b|was\b|has\b|as\b|us\b|its\b|this\b|plus\b|does\b)(?:[a-z]+s|people|children|men|women)\b)|(?:[kmb]|bn|mn)(?=\s+(?:people|users|views|viewers|followers|subscribers|dollars|euros|customers|jobs|children|residents|voters|copies|downloads|streams|barrels|homes|households|workers|visitors|tourists|vehicles|cars|shares|deaths|cases|years|tons|tonnes|units)\b))",
        lambda m: (
            None
            if m[2] in "Kk" and "." not in m[1] and len(m[1]) < 3 and int(m[1]) < 20
            else f"{say.quantity(m[1])} {say.SCALE[m[2].lower()]}"
        ),
    ),
    rule(
        r"(?<![\w.,])M(\d{1,2})\s?[x×]\s?(\d+(?:\.\d+)?)(?![\w.])",  # a thread: M6x1.0
        lambda m: f"M {say.quantity(m[1])} by {say.quantity(m[2])}",
    ),
    rule(
        r"(?<![\w.,])(\d+(?:\.\d+)?)\s?[x×]\s?(\d+(?:\.\d+)?)(?:\s?[x×]\s?(\d+(?:\.\d+)?))?"
        rf"(?:\s?({UNIT}){_END}|(?!\w|\s?=))",
        _size,
    ),
    rule(rf"{SIGNED}({NUMBER})\s?({UNIT}){_END}(?:\.(?=\s[a-z]))?", _measure),
    rule(
        rf"{SIGNED}({NUMBER})-({_NAME}){_END}",
        lambda m: f"{say.quantity(m[2])} {units.ENGLISH[m[3]][0]}",
    ),
    rule(
        r"(?:(?<=\dst)|(?<=\dnd)|(?<=\drd)|(?<=\dth))\s?[-–]\s?(?=\d+(?:st|nd|rd|th)\b)",
        lambda m: " to ",
    ),
    rule(
        r"(?<![\w.,])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b",
        lambda m: numbers.ordinal(int(m[1].replace(",", ""))),
        re.IGNORECASE,
    ),
    rule(r"(?:\b[Nn]o\.|\bNO\.|№)\s?(\d+)\b", lambda m: f"number {_numbered(m[1])}"),
    rule(r"(?<!\w)#\s?(\d+)\b", lambda m: f"number {_numbered(m[1])}"),
    rule(r"(?<![\w.,/-])50-50(?![\w-])", lambda m: "fifty fifty"),
    rule(r"(?<![\w.,/])(\d+)\s(\d)/(\d)(?!\w|/\d|[.,]\d)", _and_a_half),
    rule(
        r"(?<![\w.,/])(\d)/(\d{1,2})(?:-(?=[a-z])|(?:rd|th|nd)s?\b)",
        lambda m: _part(m),
    ),
    rule(
        r"(?<![\w.,/])(\d{1,2}\.\d)/(5|10|100)(?!\w|/\d|[.,]\d)",
        lambda m: f"{say.quantity(m[1])} out of {say.quantity(m[2])}",
    ),
    rule(  # shrimps to a pound
        r"(?<![\w.,/])(\d{1,3})/(\d{1,3})[\s-]?(?:ct\b\.?|count\b)",
        lambda m: f"{say.quantity(m[1])} to {say.quantity(m[2])} count",
    ),
    rule(r"(?<![\w.,/])(\d{1,3})/(\d{1,3})(?!\w|/\d|[.,]\d)", _out_of),
    rule(
        rf"{SIGNED}(?<!/)(\d{{1,9}})/(\d{{1,9}})(?!\w|/\d|[.,]\d)",
        lambda m: _minus(m) + words if (words := say.fraction(m[2], m[3])) else None,
    ),
    rule(r"(?<![\w.,:/-])(\d{1,3})[-–:](\d{1,3})(?!\w|[:/-]\d|[.,]\d|%)", _score),
    rule(
        r"(?<![\w.,:])(\d+):(\d+)(?![\w:]|[.,]\d)",
        lambda m: f"{say.quantity(m[1])} to {say.quantity(m[2])}",
    ),
    rule(rf"(?<![\w.,-])({NUMBER}){_TO}({NUMBER})(?!\w|-\d|[.,]\d|\s?=)", _range),
    rule(r"(?<=\d)\s/\s(?=\d)", lambda m: " divided by "),
    rule(
        rf"{_START}({NUMBER})-([a-z]{{2,}}(?:-[a-z]+)*)\b",
        lambda m: f"{say.quantity(m[1])} {m[2].replace('-', ' ')}",
    ),
    rule(rf"{_START}({NUMBER})[x×](?!\w|\s?[-+*/=^−\d])", lambda m: f"{say.quantity(m[1])} times"),
    rule(
        rf"{_START}({NUMBER})k(?=\s+(?:[a-z]+s|people)\b)",
        lambda m: f"{say.quantity(m[1])} thousand",
    ),
    rule(rf"{_START}({NUMBER})\s?\+(?!\s?\d)", lambda m: f"{say.quantity(m[1])} plus"),
]
