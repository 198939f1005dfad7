"""Proof on golden data: every stage of this program against recorded arrays of the reference."""
