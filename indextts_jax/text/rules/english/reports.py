"""English rules: times of races and of the military, winds and temperatures, currents."""

import re

from indextts_jax.text.rules.english import numbers, say
from indextts_jax.text.rules.spans import Rule, rule

_SIDES = {"N": "north", "S": "south", "E": "east", "W": "west"}
_WEATHER = re.compile(
    r"\b(?:high|low|highs|lows|temp|temps|temperatures?|heat|oven|bake|preheat|degrees|sunny|cloudy"
    r"|forecast|fever|weather|roast|freez\w+|hot|cold|warm|humidity|rain|snow|BP|HR|vitals)\b",
    re.IGNORECASE,
)
_SCALES = {"F": "degrees Fahrenheit", "C": "degrees Celsius"}
_NOT_DEGREES = re.compile(
    r"\b(?:seat|gate|room|size|row|unit|apt|flat|bus|figure|table|type|model|grade|section|no|route"
    r"|form|page|bra|cup)s?\b[^,;!?]{0,12}$|#$",
    re.IGNORECASE,
)


def _compass(letters: str) -> str:
    """`NW`: northwest; `NNW`: north northwest."""
    words = [_SIDES[side] for side in letters]
    return "".join(words) if len(words) < 3 else f"{words[0]} {words[1]}{words[2]}"


def _degrees(match: re.Match[str]) -> str | None:
    """`54F` and `-5C` of the weather or an oven."""
    text = match.string
    if not _WEATHER.search(text) or _NOT_DEGREES.search(text[: match.start()]):
        return None
    minus = "minus " if match[1][0] == "-" else ""
    return f"{minus}{say.quantity(match[1].lstrip('-'))} {_SCALES[match[2]]}"


def _lasting(match: re.Match[str]) -> str:
    """`in 2:00:35`: two hours and thirty five seconds."""
    names = ("hour", "minute", "second")
    parts = [(int(n), name) for n, name in zip(match.groups(), names, strict=True) if int(n)]
    said = [f"{numbers.cardinal(n)} {name}{'s' * (n != 1)}" for n, name in parts]
    return " ".join(said) or "zero seconds"


def _race(match: re.Match[str]) -> str | None:
    """`3:15.09`: three fifteen point oh nine; with hours before, all in words."""
    hours, minutes, seconds, part = match[1], match[2], match[3], match[4]
    spoken = (
        numbers.cardinal(int(seconds))
        if seconds[0] != "0"
        else f"oh {numbers.cardinal(int(seconds[1]))}"
    )
    first = [numbers.cardinal(int(hours))] if hours else []
    return " ".join(
        [*first, numbers.cardinal(int(minutes)), spoken, "point", numbers.digits(part, zero="oh")]
    )


def _military(match: re.Match[str]) -> str | None:
    hour, minute = match[1], match[2]
    if hour[0] != "0" and not re.search(
        r"\b(?:at|by|until|till|from|to|before|after|around|@)\s$", match.string[: match.start()]
    ):
        return None
    if re.match(r"\s+of\b", match.string[match.end() :]):
        return None
    first = (
        f"oh {numbers.cardinal(int(hour[1]))}" if hour[0] == "0" else numbers.cardinal(int(hour))
    )
    if minute == "00":
        return f"{first} hundred hours{_end(match)}"
    last = (
        f"oh {numbers.cardinal(int(minute[1]))}"
        if minute[0] == "0"
        else numbers.cardinal(int(minute))
    )
    return f"{first} {last} hours{_end(match)}"


def _end(match: re.Match[str]) -> str:
    """The full stop of a sentence that ends in a shortened word."""
    ends = re.match(r"\s+[A-Z]|\s*$", match.string[match.end() :])
    return "." if match[0].endswith(".") and ends else ""


RULES: list[Rule] = [
    rule(
        r"(?<=[Ww]ind\s)([NSEW]{1,3})(?![\w.])|(?<=[Ww]inds\s)([NSEW]{1,3})(?![\w.])"
        r"|(?<=[Ww]ind:\s)([NSEW]{1,3})(?![\w.])",
        lambda m: _compass(next(filter(None, m.groups()))),
    ),
    rule(
        r"(?<![\w.,/$-])(-?\d{2,3}(?:\.\d)?)([FC])(?![\w°'’-])",
        _degrees,
    ),
    rule(r"(?<![\w.:/-])(?:(\d{1,2}):)?([0-5]?\d):([0-5]\d)\.(\d{1,3})(?![\w:]|\.\d)", _race),
    rule(r"(?<![\w.,:/$-])([01]\d|2[0-3])([0-5]\d)\s?(?:hrs\b\.?|hours\b)", _military),
    rule(
        r"(?<![\w.,])(\d+(?:\.\d+)?)[\s-]?ft[\s·.-]?lbs?\b",
        lambda m: f"{say.quantity(m[1])} foot pounds",
    ),
    rule(
        r"(?<=\d[VvWw]/)(\d+(?:\.\d+)?)A(?!\w)",
        lambda m: f"{say.quantity(m[1])} {'amp' if m[1] == '1' else 'amps'}",
    ),
    rule(r"(?:(?<=^)|(?<=\()|(?<=[,:;]\s))[≈≅≃]\s?(?=\d)", lambda m: "approximately "),
    rule(
        r"(?:(?<=\bin\s)|(?<=\btime of\s)|(?<=\brecord of\s)|(?<=\bclocked\s))"
        r"(\d{1,2}):([0-5]\d):([0-5]\d)(?![\w:]|\.\d)",
        _lasting,
    ),
]
