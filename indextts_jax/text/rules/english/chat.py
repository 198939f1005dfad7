"""English rules: spellings of chats, such as `l8r` and `b4`, where nothing else can be meant."""

import re

from indextts_jax.text.rules.spans import Rule, rule

# Never anything else.
_ALWAYS = {
    "l8r": "later", "l8er": "later", "gr8": "great", "gr8er": "greater", "gr8est": "greatest",
    "h8r": "hater", "h8rs": "haters", "h8er": "hater", "h8ers": "haters", "str8": "straight",
    "sk8er": "skater", "sk8r": "skater", "sk8": "skate", "sk8s": "skates", "w8ing": "waiting",
    "h8ing": "hating", "2nite": "tonight", "2night": "tonight", "2moro": "tomorrow",
    "2morro": "tomorrow", "2morrow": "tomorrow", "4eva": "forever", "4ever": "forever",
    "4got": "forgot", "4get": "forget", "some1": "someone", "any1": "anyone", "every1": "everyone",
    "no1": "no one", "thx": "thanks", "thnx": "thanks", "plz": "please", "pls": "please",
    "cya": "see you", "2day": "today", "b4hand": "beforehand", "m8s": "mates",
    "h8s": "hates", "w8ed": "waited", "h8ed": "hated", "gr8ly": "greatly",
    "sry": "sorry", "luv": "love", "l8ly": "lately",
}  # fmt: skip
# Also keys, squares of chess or postal districts: only as written in lower case.
_LOWER = frozenset(["no1", "m8s", "h8s", "2day", "luv"])
_WHO = (
    "i|i'm|im|u|ur|you|you're|your|we|we're|they|he|she|it|it's|the|my|our|his|her|their|this|that"
    "|these|those|me|him|them|us"
)
_CHESS = re.compile(
    r"\b(?:pawn|knight|bishop|rook|queen|king|chess|cell|square)s?\b|\d\.\s?[a-h][1-8]", re.I
)


def _always(match: re.Match[str]) -> str | None:
    word = match[0].lower()
    if word in _LOWER and not match[0].islower():
        return None
    said = _ALWAYS[word]
    return said.capitalize() if match[0][0].isupper() and not match[0].isupper() else said


def _certain(match: re.Match[str], said: str) -> str | None:
    return None if _CHESS.search(match.string) else said


RULES: list[Rule] = [
    rule(
        r"\b(?:r\su)\b(?!\sr\b)|\bc\su(?=\s(?:l8r|later|soon|there|then|tom|at|in|on)\b|\W*$)",
        lambda m: "are you" if m[0][0] == "r" else "see you",
    ),
    rule(
        r"(?<![\w'’])u\s(?=(?:can|r|are|know|want|have|think|need|guys|still|ok|free|there|should"
        r"|will|were|get|got|gonna|wanna|all|too|say|said|see|like)\b)",
        lambda m: "you ",
    ),
    rule(
        r"(?<=\bcan\s)u(?![\w'’=-])(?!\sand\b)|(?<=\bdid\s)u(?![\w'’=-])|(?<=\bdo\s)u(?![\w'’=-])"
        r"|(?<=\bwill\s)u(?![\w'’=-])|(?<=\bare\s)u(?![\w'’=-])",
        lambda m: "you",
    ),
    rule(
        r"\b(love|miss|thank|hate|tell|call|text|luv)\su(?![\w'’=-])",
        lambda m: f"{_ALWAYS.get(m[1], m[1])} you",
    ),
    rule(
        rf"(?<![\w@#./-])(?:{'|'.join(sorted(_ALWAYS, key=len, reverse=True))})(?![\w@/]|-\w|\.\w)",
        _always,
        re.IGNORECASE,
    ),
    rule(
        rf"(?<![\w@#./-])b4(?=\s+(?:(?:{_WHO})\b|[a-z]+ing\b|(?:noon|lunch|dinner|breakfast|bed|work"
        r"|school|class|midnight|now|then|today|tomorrow|tonight|sunrise|sunset)\b))",
        lambda m: _certain(m, "before"),
    ),
    rule(
        r"(?<![\w@#./-])w8(?=\s+(?:for|til|till|until|up|a\s(?:sec|bit|min|minute|moment)|what|4|n)\b"
        r"|\s?(?:\.{2,}|…|!))",
        lambda m: _certain(m, "wait"),
    ),
    rule(
        r"(?<![\w@#./-])h8(?=\s+(?:it|u|you|that|this|him|her|them|when|how|my|being|to\s[a-z]"
        r"|mondays|[a-z]+ing)\b)",
        lambda m: _certain(m, "hate"),
    ),
    rule(
        r"(?:(?<=\bb\s)|(?<=\bbe\s)|(?<=\bis\s)|(?<=\bso\s)|(?<=\btoo\s)|(?<=\bwas\s)|(?<=\bam\s)"
        r"|(?<='m\s)|(?<=\bim\s)|(?<='re\s)|(?<=\brunning\s))l8(?![\w@/-])",
        lambda m: _certain(m, "late"),
    ),
    rule(
        r"(?:(?<=\bmy\s)|(?<=\bur\s)|(?<=\byour\s)|(?<=\bold\s)|(?<=\bgood\s)|(?<=\bbest\s)|(?<=^)"
        r"|(?<=\bhey\s)|(?<=\bhi\s)|(?<=\bcheers\s)|(?<=\bthanks\s)|(?<=\byes\s)|(?<=\bmate\s)"
        r"|(?<=,\s))m8(?=\s*(?:[,.!?]|$))",
        lambda m: _certain(m, "mate"),
    ),
    rule(r"(?<![\w@#./'’-])4(?=\s(?:u|ur)\b)", lambda m: "for"),
    rule(r"(?<![\w@#./'’-])ur(?![\w'’-])", lambda m: "your"),
]
