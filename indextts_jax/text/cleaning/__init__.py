"""From what is pasted to plain lines of words: mark-up, subtitles, line ends, odd characters."""

from indextts_jax.text.cleaning.characters import plain_characters
from indextts_jax.text.cleaning.faces import without_faces
from indextts_jax.text.cleaning.latex import plain_latex
from indextts_jax.text.cleaning.lines import plain_breaks, spoken_lines
from indextts_jax.text.cleaning.markup import plain_markup, without_colours
from indextts_jax.text.cleaning.subtitles import plain_subtitles


def clean(text: str) -> str:
    """The words of a text, with marks for its line ends, in plain characters."""
    text = without_faces(plain_subtitles(without_colours(plain_breaks(text))))
    return spoken_lines(plain_characters(plain_markup(plain_latex(text))))


def tidy(text: str) -> str:
    """A term as it will be found in a text that was cleaned."""
    return plain_characters(plain_markup(text))
