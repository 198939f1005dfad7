"""Networks that only version 2.5 has."""
