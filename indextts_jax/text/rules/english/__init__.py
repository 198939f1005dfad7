"""English: how it reads what is not words. The rules of `RULES` are tried in their order."""

from indextts_jax.text.rules.english import amounts, codes, dates, names, sums, words
from indextts_jax.text.rules.spans import Rule

RULES: list[Rule] = [
    *codes.ADDRESSES,
    *words.RULES,
    *dates.NUMERIC,
    *codes.RULES,
    *dates.RULES,
    *sums.POWERS,
    *amounts.RULES,
    *names.RULES,
    *sums.RULES,
    *words.SIGNS,
]
