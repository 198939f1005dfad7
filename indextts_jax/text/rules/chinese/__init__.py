"""Chinese rules for what the grammar reads wrongly. `RULES` are applied in order."""

from indextts_jax.text.rules.chinese import amounts, codes, dates, names, sports, sums
from indextts_jax.text.rules.spans import Rule

RULES: list[Rule] = [
    *codes.ADDRESSES,
    *sums.ALGEBRA,
    *dates.DOTTED,
    *dates.CLOCK,
    *sports.RULES,
    *amounts.FRACTIONS,
    *codes.RULES,
    *dates.RULES,
    *sums.POWERS,
    *amounts.RULES,
    *names.RULES,
    *sums.RULES,
]
