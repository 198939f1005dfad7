"""English rules for everything that is not a word. `RULES` are applied in order."""

from indextts_jax.text.rules.english import (
    amounts,
    chat,
    codes,
    dates,
    names,
    reports,
    shortened,
    sports,
    sums,
    words,
)
from indextts_jax.text.rules.spans import Rule

RULES: list[Rule] = [
    *codes.ADDRESSES,
    *chat.RULES,
    *sports.RULES,
    *reports.RULES,
    *amounts.VERSES,
    *shortened.RULES,
    *sums.ALGEBRA,
    *dates.WEEKDAYS,
    *words.RULES,
    *dates.NUMERIC,
    *codes.RULES,
    *dates.RULES,
    *amounts.POINTED,
    *sums.POWERS,
    *amounts.RULES,
    *names.RULES,
    *sums.RULES,
    *words.SIGNS,
]
