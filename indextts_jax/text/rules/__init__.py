"""How things are read: numbers, units, dates, names, by language."""
