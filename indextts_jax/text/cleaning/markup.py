"""Mark-up of pages and notes: HTML, Markdown, wiki, bulletin boards, terminals; its words stay."""

import html
import re

from indextts_jax.text.rules.spans import MARKUP

_TERMINAL = re.compile(
    r"\x1b(?:\[[0-?]{0,40}[ -/]{0,4}[@-~]|\][^\x07\x1b\n]{0,300}(?:\x07|\x1b\\)|[()][0-9A-B])"
)
# Colours whose escape character is lost.
_COLOUR = re.compile(r"\[(?:\d{1,3}(?:;\d{1,3}){0,8}m(?!\])|m(?![A-Za-z\]]))")
_RESET = re.compile(r"\[0m(?!\])|\[m(?![A-Za-z\]])")  # but not `[music]`

_COMMENT = re.compile(r"<!--.{0,4000}?-->|<!\[CDATA\[|\]\]>|<[!?][A-Za-z][^<>]{0,300}>", re.DOTALL)
_HIDDEN = re.compile(
    r"<(script|style|head|rt|rp|template|svg)\b[^<>]{0,500}>.{0,20000}?</\1\s*>", re.DOTALL | re.I
)
_BLOCKS = (
    "address|article|aside|blockquote|body|br|caption|dd|div|dl|dt|fieldset|figcaption|figure|footer"
    "|form|h[1-6]|head|header|hr|html|legend|li|main|menu|nav|ol|option|p|section|select|table|tbody"
    "|tfoot|thead|title|tr|ul|video|audio|details|summary"
)
_SPANS = (
    "a|abbr|b|bdi|bdo|big|button|center|cite|code|col|colgroup|data|del|dfn|em|font|i|iframe|img"
    "|input|ins|kbd|label|link|mark|meta|meter|object|output|picture|pre|progress|q|ruby|rb|s|samp"
    "|small|source|span|strike|strong|sub|sup|template|textarea|time|track|tt|u|var|wbr|c|v|lang"
    "|speak|prosody|break|emphasis|say-as|voice|phoneme|audio|nobr|noscript"
)
_CELLS = re.compile(r"</t[dh]\s*>(?=\s*<t[dh]\b)", re.IGNORECASE)
# A name of one letter has attributes with values, or none: `a<b and c>d` has no tag.
_TAG = re.compile(
    rf"</?(?:{_BLOCKS}|{_SPANS}|td|th)(?=[\s/>.])(?:\s*/?>"
    r"|(?<=<[a-z])\s+[\w:-]{1,40}\s?=[^<>|]{0,1000}>|(?<=[a-z\d]{2})[\s.][^<>|]{0,1000}>)",
    re.IGNORECASE,
)
_BLOCK = re.compile(rf"</?(?:{_BLOCKS})\b", re.IGNORECASE)
_STOP = re.compile(r"</(?:p|h[1-6]|blockquote|title|caption|table|ul|ol|section|article)\b", re.I)
_OTHER_TAG = re.compile(r"</([^\W\d_][\w:-]{0,40})\s*>")
_ATTRIBUTES = re.compile(
    r"<[A-Za-z][\w:-]{0,40}(?:\s+[\w:-]{1,40}\s?=\s?(?:\"[^\"<>]{0,300}\"|'[^'<>]{0,300}')){1,20}\s*/?>"
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_BARE_ENTITY = re.compile(r"&(?:nbsp|quot|lt|gt|amp|hellip|mdash|ndash|ldquo|rdquo)(?![A-Za-z;=])")

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n`]{0,60}$\n?", re.MULTILINE)
_TARGET = (
    r"\(\s*<?(?=[^\s()]{0,400}[:/#.@])(?:[^\s()<>]|\([^\s()]{0,100}\)){1,600}>?"
    r"(?:\s+[\"'(][^\n\"')]{0,200}[\"')])?\s*\)"
)
_LINK = re.compile(rf"!?\[((?:[^\[\]\n]|\[[^\[\]\n]{{0,100}}\]){{0,400}})\]{_TARGET}")
_REFERENCE = re.compile(r"!?\[([^\[\]\n]{1,200})\] ?\[[^\[\]\n]{0,80}\]")
_DEFINITION = re.compile(
    r"^ {0,3}\[(?!\^)[^\[\]\n]{1,80}\]:[ \t]*(?:<?[a-z]+://|www\.|[/#.]|mailto:)\S*[^\n]{0,200}$\n?",
    re.MULTILINE,
)
_NOTE = re.compile(r"^ {0,3}\[\^[^\[\]\n]{1,40}\]:[ \t]*", re.MULTILINE)
_NOTED = re.compile(r"\[\^[^\[\]\n]{1,40}\]")
_CITED = re.compile(
    r"(?:(?<=[A-Za-z]{3})|(?<=[\u3400-\u9fff.,;:!?。，；：！？”\"')])(?<![在于间从]))"
    r"(?:\[(?!0)(?:\d{1,3}(?:[,，–-]\s?\d{1,3})*|citation needed|来源请求|注 ?\d{1,2})\])+"
)
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^\s<>]{1,500}|[\w.+-]{1,64}@[\w.-]{1,200})>")
_ESCAPED = re.compile(r"(?<![\w:\\])\\([*_#\[\]()`~>|!+.-])|(?<!\\)\\([\"'])")
_EMPHASIS = re.compile(
    r"(?<![*A-Za-z0-9])(\*{1,3})(?=[^\s*])([^*\n]{0,400}?[^\s*])\1(?![*A-Za-z0-9])"
)
_BLANK_DATE = re.compile(r"(?<![\w/])_{1,8}(?:[/.-]_{1,8}){1,4}(?![\w/])")  # of a form
_UNDERLINED = re.compile(
    r"(?<![A-Za-z0-9_/.@])(_{1,3})(?=[^\s_])([^\n]{0,400}?[^\s_])\1(?![A-Za-z0-9_/@])"
)
_CODE = re.compile(r"(?<!`)(`{1,3})(?=[^`])([^`\n]{1,400})\1(?!`)")
_MARKED = re.compile(r"(?<![~=\w])(~~|==)(?=[^\s~=])([^~=\n]{0,400}[^\s~=])\1(?![~=\w])")
_WIKI = re.compile(r"\[\[(?:[^\[\]|\n]{1,200}\|)?([^\[\]|\n]{1,200})\]\]")
_WIKI_BOLD = re.compile(r"(?<![\w'])('{2,3})(?=[^\s'])([^'\n]{1,300})\1(?![\w'])")
_BOARD = re.compile(
    r"\[/?(?:b|i|u|s|url|img|quote|code|color|size|font|center|left|right|list|email|spoiler|\*)"
    r"(?:=[^\[\]\n]{0,300})?\]",
    re.IGNORECASE,
)
_BOARD_END = re.compile(r"\[/(?:b|i|u|s|url|quote|code|color|size|font|center|list)\]", re.I)

_HEADING = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+(\S[^\n]*?)[ \t]*#*[ \t]*$", re.MULTILINE)
_WIKI_HEADING = re.compile(r"^(={2,5})[ \t]*([^=\n]{1,200}?)[ \t]*\1[ \t]*$", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:([-=_*~#+—─━═·•⁂])[ \t]?)(?:\1[ \t]?){2,}$", re.MULTILINE)
_BULLET = re.compile(
    r"^[ \t]*(?:(?:>(?![$€£¥]?\d)[ \t]?)+"
    r"|(?:[-*+–—][ \t]+|[•·▪‣●■◆○◦∙⁃➢➤►▶▸□☐☑✓✔✅☆★※→][\ufe0f]?[ \t]*)"
    r"(?:\[[ xX]\][ \t]+)?)(?=\S)",
    re.MULTILINE,
)
_NUMBERED = re.compile(
    r"^([ \t]*)[(（]?(\d{1,3}|[a-zA-Z]|[一二三四五六七八九十]{1,3})[)）][ \t]*(?=[^\s,，.。)）])",
    re.MULTILINE,
)
# A line to write on, and dots that lead to a page number: a pause.
_LEADER = re.compile(r"(?<![ \t])[ \t]*(?:_{3,}|\.{5,}|·{4,}|(?:\.[ \t]){3,}\.)")
_SEPARATOR = re.compile(r"[\s|:+=\-─━═┌┬┐├┼┤└┴┘╔╦╗╠╬╣╚╩╝╭╮╰╯┃│║]+")
_BARS = str.maketrans("│┃║┆┊¦", "||||||")


def plain_markup(text: str) -> str:
    """The words of a text with mark-up; blocks become lines, cells are parted by commas.

    `<word|pronunciation>`, which gives a reading, stays.
    """
    if "<" in text:
        text = _bracketed(_plain_html(text))
    text = _plain_markdown(text)
    if "[" in text and _BOARD_END.search(text):
        text = _BOARD.sub("", text)
    text = _LEADER.sub("…", _plain_tables(text))
    for _ in range(2):  # `&amp;nbsp;` is escaped twice
        if "&" not in text:
            break
        text = _BARE_ENTITY.sub(lambda match: html.unescape(match[0] + ";"), text)
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
        if "<" in text:
            text = _bracketed(_plain_html(text))
    return text


def plain_lists(text: str) -> str:
    """The text with headings as paragraphs, without bullets, quotation bars and rules."""
    text = _WIKI_HEADING.sub(r"\n\n\2\n\n", _HEADING.sub(r"\n\n\1\n\n", text))
    text = _RULE.sub("\n", text)
    text = _BULLET.sub("", _BULLET.sub("", text))
    several = len(_NUMBERED.findall(text)) > 1
    return _NUMBERED.sub(r"\1\2, ", text) if several else text


def without_colours(text: str) -> str:
    """The text without the escape sequences of terminals, also where the escape sign is lost."""
    if "\x1b" in text:
        text = _TERMINAL.sub("", text)
    if _RESET.search(text):
        text = _COLOUR.sub("", text)
    return text


def _plain_html(text: str) -> str:
    text = _COMMENT.sub("", text)
    text = _HIDDEN.sub("", text)
    text = _AUTOLINK.sub(r"\1", text)
    text = _TAG.sub(_tag, _CELLS.sub(", ", text))
    closed = set(_OTHER_TAG.findall(text))
    if closed:
        names = "|".join(map(re.escape, sorted(closed, key=len, reverse=True)))
        text = re.sub(rf"</?(?:{names})(?:\s[^<>|]{{0,300}})?/?>", "", text)
    return _ATTRIBUTES.sub(lambda match: match[0] if MARKUP.fullmatch(match[0]) else "", text)


def _bracketed(text: str) -> str:
    """`<重点>`: brackets of a title, not signs of an inequality."""
    return re.sub(r"<([\u3400-\u9fff]{1,20})>", r"《\1》", text)


def _tag(match: re.Match[str]) -> str:
    if _STOP.match(match[0]):
        return "\n\n"
    return "\n" if _BLOCK.match(match[0]) else ""


def _plain_markdown(text: str) -> str:
    if "```" in text or "~~~" in text:
        text = _FENCE.sub("", text)
    if "[" in text:
        defined = _DEFINITION.search(text)
        text = _DEFINITION.sub("", text)
        text = _LINK.sub(r"\1", _LINK.sub(r"\1", text))
        text = _REFERENCE.sub(r"\1", text) if defined else text
        text = _CITED.sub("", _NOTED.sub("", _NOTE.sub("", text)))
        text = _WIKI.sub(r"\1", text)
    text = plain_lists(text)
    if "*" in text:
        text = _EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", text))
    if "_" in text:
        text = _BLANK_DATE.sub("…", text)
        text = _UNDERLINED.sub(r"\2", text)
    if "`" in text:
        text = _CODE.sub(r"\2", text)
    if "~~" in text or "==" in text:
        text = _MARKED.sub(r"\2", text)
    if "''" in text:
        text = _WIKI_BOLD.sub(r"\2", text)
    return _ESCAPED.sub(r"\1\2", text) if "\\" in text else text


def _plain_tables(text: str) -> str:
    """Rows of cells as lines with commas; a bar between words is a comma, too."""
    if not ("|" in text or re.search("[─━═│┃║]", text)):
        return text
    lines = text.translate(_BARS).split("\n")
    shown = []
    barred = [line.count("|") for line in lines if "|" in line]
    columns = barred[0] if len(barred) > 1 and len(set(barred)) == 1 else 0
    for line in lines:
        bars = line.count("|")
        if _SEPARATOR.fullmatch(line) and line.strip() and re.search("[-=─━═|]", line):
            continue
        bare = line.strip()
        row = bare.startswith("|") and bare.endswith("|") and bars > 2
        if (
            row
            or (columns and bars == columns and not MARKUP.search(line))
            or (bars and re.search(r"\s\|\s", line) and not MARKUP.search(line))
        ):
            cells = [cell.strip() for cell in bare.split("|")]
            line = ", ".join(cell for cell in cells if cell)
        elif bare.startswith("|") and bare.endswith("|") and bars == 2 and len(lines) > 1:
            line = bare.strip("| ")
        shown.append(line)
    return "\n".join(shown)
