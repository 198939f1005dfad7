"""Text from outside (files, flags, recipes) as it may be shown on a terminal."""

import json
import unicodedata


def _shown(character: str) -> bool:
    # Spaces of other widths are harmless; line and paragraph separators (Zl, Zp) are not.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    return ascii(character)[1:-1] if not character.isascii() else repr(character)[1:-1]


def one_line(value: object) -> str:
    """A value in one line: control characters, direction marks and line ends are escaped."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if _shown(c) else _escaped(c) for c in text)


def lines(message: str) -> str:
    """A message of our own, of several lines: all but its line ends is escaped."""
    return "\n".join(map(one_line, message.split("\n")))


def indented(message: str) -> str:
    """A message whose further lines are indented: a line end before anything else is escaped."""
    first, *rest = message.split("\n")
    made = one_line(first)
    for line in rest:
        made += ("\n" if line.startswith("  ") else "\\n") + one_line(line)
    return made


def printable_json(data: object, indent: int | None = None) -> str:
    """JSON with text as it is, apart from characters that do not belong on a terminal."""
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    return "".join(c if c == "\n" or _shown(c) else json.dumps(c)[1:-1] for c in text)
