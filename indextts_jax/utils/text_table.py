"""Plain tables for a terminal."""

from collections.abc import Sequence

from indextts_jax.errors import one_line


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Formats rows in columns: words left-aligned, numbers right-aligned."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [
        max(len(line[column]) for line in [list(header), *cells]) for column in range(len(header))
    ]
    right = [
        all(not isinstance(row[column], str) or _numeric(row[column]) for row in rows)
        for column in range(len(header))
    ]

    def line(words: Sequence[str]) -> str:
        return "  ".join(
            word.rjust(width) if numeric else word.ljust(width)
            for word, width, numeric in zip(words, widths, right, strict=True)
        ).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, cells)])


def _numeric(word: object) -> bool:
    return str(word).replace(",", "").replace(".", "").replace("-", "").replace("e", "").isdigit()
