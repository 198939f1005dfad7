"""Validation of version 2.5: the stages that differ, and its runs from audio files to waveform."""
