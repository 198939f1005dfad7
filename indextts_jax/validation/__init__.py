"""Parity checks: every stage of this program against recorded arrays of the reference."""
