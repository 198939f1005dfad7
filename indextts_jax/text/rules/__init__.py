"""Reading rules by language: numbers, units, dates, names."""
