"""LaTeX: formulas in plain signs (`\\frac{a}{b}` as a/b, `\\leq` as ≤), commands without theirs."""

import re

# Between dollar signs: a formula, if it has a sign of one; `$5 or $6` is money.
_INLINE = re.compile(
    r"\$\$([^$]{1,800})\$\$|(?<![\w$\\])\$(?![\s\d.,]*\$)(?!\s)([^$\n]{1,300}?)(?<![\s\\])\$(?!\w)"
)
_DISPLAY = re.compile(r"\\\[(.{1,800}?)\\\]|\\\((.{1,800}?)\\\)", re.DOTALL)
_FORMULA = re.compile(
    r"\\[a-zA-Z]|[\^_=<>+]|^[A-Za-z]$|^\d*[a-z]$|[a-zA-Z(]\s?[-*/]\s?[a-zA-Z0-9(]"
)
_WORDS = re.compile(r"(?<![\\a-zA-Z])(?!sin|cos|tan|log|lim|max|min|exp|mod)[a-z]{3,}")
_SIGNS = {
    "leq": "≤", "le": "≤", "leqslant": "≤", "geq": "≥", "ge": "≥", "geqslant": "≥", "neq": "≠",
    "ne": "≠", "approx": "≈", "sim": "~", "equiv": "≡", "cong": "≌", "times": "×", "cdot": "×",
    "div": "÷", "pm": "±", "infty": "∞", "to": "→", "rightarrow": "→", "Rightarrow": "→",
    "in": "∈", "notin": "∉", "cup": "∪", "cap": "∩", "subset": "⊂", "subseteq": "⊆",
    "emptyset": "∅", "sum": "∑", "int": "∫", "partial": "∂", "nabla": "∇", "forall": "∀",
    "exists": "∃", "angle": "∠", "triangle": "△", "perp": "⊥", "parallel": "∥", "circ": "°",
    "degree": "°", "propto": "∝", "because": "∵", "therefore": "∴", "lt": "<", "gt": ">",
    "ldots": "…", "dots": "…", "cdots": "…", "prime": "′", "neg": "¬", "land": "∧", "lor": "∨",
    "ell": "l", "quad": " ", "qquad": " ", "left": "", "right": "", "big": "", "Big": "",
    "displaystyle": "", "limits": "", "nolimits": "", "mid": "|", "hbar": "h", "varepsilon": "ε",
    "varphi": "φ", "vartheta": "θ",
}  # fmt: skip
_GREEK = dict(
    zip(
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "pi",
            "rho",
            "sigma",
            "tau",
            "upsilon",
            "phi",
            "chi",
            "psi",
            "omega",
        ],
        "αβγδεζηθικλμνξπρστυφχψω",
        strict=True,
    )
)
_SIGNS |= _GREEK | {name.capitalize(): sign.upper() for name, sign in _GREEK.items()}
_GROUP = r"\{([^{}]*)\}"
_FRACTION = re.compile(rf"\\[dtc]?frac\s*{_GROUP}\s*{_GROUP}")
_SHORT_FRACTION = re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)")
_ROOT = re.compile(rf"\\sqrt\s*{_GROUP}")
_SCRIPT = re.compile(r"([\^_])\s*\{([^{}]*)\}")
_DEGREES = re.compile(r"\^\s*(?:\\circ|\{\\circ\})(?![a-zA-Z])")
_KEPT = re.compile(
    rf"\\(?:text|textrm|textbf|textit|textsf|texttt|textsc|mathrm|mathbf|mathit|mathbb|mathcal"
    rf"|operatorname|emph|underline|mbox|hbox|vec|hat|bar|overline|tilde|boxed|uppercase"
    rf"|footnote|title|author|caption){_GROUP}"
)
_HEADING = re.compile(rf"\\(?:part|chapter|(?:sub){{0,2}}section|paragraph)\*?{_GROUP}")
_DROPPED = re.compile(
    r"[ ~]?\\(?:cite[a-z]*|ref|eqref|label|pageref|begin|end|usepackage|documentclass"
    r"|includegraphics|vspace|hspace|bibliography|bibliographystyle|input|url|color)\*?(?:\[[^\]\n]*\])?\{[^{}\n]*\}"
    r"|\\(?:item|centering|noindent|maketitle|newpage|clearpage|hline|small|large|Large|bigskip"
    r"|medskip|smallskip|par|displaystyle|tableofcontents)(?![a-zA-Z])[ \t]?"
)
_COMMAND = re.compile(r"\\([a-zA-Z]+)\s?")
_SPACING = re.compile(r"\\[,;:!]|\\ ")
_ESCAPED = re.compile(r"\\([%$&#_{}])")
_DOCUMENT = re.compile(
    r"\\(?:begin|end|(?:sub){0,2}section|chapter|emph|text[a-z]{2,4}|cite[a-z]?|ref|label|item"
    r"|footnote|frac|sqrt|maketitle|documentclass)(?![a-zA-Z])"
)
_INDEX = re.compile(r"(?<!\w)([a-zA-Z])_(?:\{(\w{1,3})\}|(\d))(?!\w)")
_RAISED = re.compile(r"(?<=[\w)\]])\^\{([^{}\n]{1,20})\}")
_TIE = re.compile(r"(?<=[A-Za-z.])~(?=[\dA-Z\\])")


def plain_latex(text: str) -> str:
    """The text with its formulas in plain signs and without the commands of LaTeX."""
    if "$" in text:
        text = _INLINE.sub(_inline, text)
    if "_" in text or "^" in text:
        text = _INDEX.sub(lambda match: match[1] + (match[2] or match[3]), text)
        text = _RAISED.sub(r"^(\1)", text)
    if "\\" not in text:
        return text
    text = _DISPLAY.sub(lambda match: _formula(match[1] or match[2]), text)
    if not _DOCUMENT.search(text):
        return text
    text = _TIE.sub(" ", text)
    text = _HEADING.sub(r"\n\n\1\n\n", text)
    text = _inner(_DROPPED.sub("", text))
    text = _KEPT.sub(r"\1", text)
    text = re.sub(r"\\\\(?:\[[^\]\n]*\])?", "\n", text)
    text = re.sub(r"``|''", '"', text)
    return _ESCAPED.sub(r"\1", text)


def _inline(match: re.Match[str]) -> str:
    if match[1]:
        return f" {_formula(match[1])} "
    inner = match[2]
    if not _FORMULA.search(inner) or _WORDS.search(_KEPT.sub("", inner)):
        return match[0]
    return _formula(inner)


def _inner(text: str) -> str:
    """Fractions, roots and scripts, the inner ones first."""
    for _ in range(6):  # deeper nesting is not written by hand
        before = text
        text = _DEGREES.sub("°", text)
        text = _KEPT.sub(r"\1", text)
        text = _SCRIPT.sub(_script, text)
        text = _SHORT_FRACTION.sub(r"\1/\2", _FRACTION.sub(_fraction, text))
        text = _ROOT.sub(_root, text)
        if text == before:
            break
    return text


def _formula(text: str) -> str:
    text = _SPACING.sub(" ", _inner(text))
    text = _COMMAND.sub(_command, text)
    text = _ESCAPED.sub(r"\1", text).replace("\\\\", ", ").replace("&", "")
    text = re.sub(r"[{}]", "", re.sub(r"(?<=[a-zA-Z])_(?=\w)", "", text))
    return re.sub(r"\s+", " ", text).strip()


def _command(match: re.Match[str]) -> str:
    sign = _SIGNS.get(match[1])
    if sign is None:
        return f"{match[1]} "
    return f" {sign} " if sign and sign in "≤≥≠≈≡×÷±→∈∉∪∩⊂⊆∝" else sign


def _bracketed(text: str) -> str:
    simple = re.fullmatch(r"\s*[-−]?(?:\d+(?:\.\d+)?|\d*[a-zA-Z]|\\[a-zA-Z]+)\s*", text)
    return text.strip() if simple else f"({text.strip()})"


def _fraction(match: re.Match[str]) -> str:
    after = match.string[match.end() : match.end() + 1]
    return f"{_bracketed(match[1])}/{_bracketed(match[2])}{' ' * after.isalnum()}"


def _root(match: re.Match[str]) -> str:
    return f"√{_bracketed(match[1])}"


def _script(match: re.Match[str]) -> str:
    inner = match[2].strip()
    if match[1] == "_":
        return inner if re.fullmatch(r"\w+", inner) else f" {inner} "
    return "^" + (inner if re.fullmatch(r"\w", inner) else f"({inner})")
