"""Speech recognition: Whisper in CTranslate2 format, by faster-whisper."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from indextts_jax.errors import InputError
from indextts_jax.training.evaluation.judges import packages
from indextts_jax.training.evaluation.judges.words import FLAG

# All are required: faster-whisper would download a missing tokenizer.
FILES = ("model.bin", "config.json", "tokenizer.json")
BEAMS = 5
MOST_THREADS = 4


class Recogniser:
    """A recogniser from a local directory, on the CPU: the device is left to the judged model.

    Raises:
        InputError: for a directory without such a model, or without the package.
    """

    def __init__(self, folder: str | Path, language: str = "en"):
        folder = Path(folder)
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            raise InputError(
                f"{FLAG} {folder}: expected a Whisper model in CTranslate2 format, with "
                f"{', '.join(FILES)}; {missing[0]} is missing",
                FLAG,
            )
        self.language = language
        whisper = packages.load("faster_whisper", FLAG)
        try:
            self._model = whisper.WhisperModel(
                str(folder),
                device="cpu",
                compute_type="float32",
                cpu_threads=min(MOST_THREADS, os.cpu_count() or 1),
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{FLAG} {folder} cannot be read: {error!s:.200}", FLAG) from error

    def __call__(self, signal: Float32[np.ndarray, " n"]) -> str:
        """The transcript of a 16 kHz signal; deterministic.

        Only temperature 0 is used, because Whisper's retries of doubtful speech sample randomly.
        The transcript of one 30 s window does not condition the next.
        """
        if not len(signal):
            return ""
        return " ".join(segment.text.strip() for segment in self._segments(signal))

    def words(self, signal: Float32[np.ndarray, " n"]) -> list[tuple[str, float, float]]:
        """The words of a 16 kHz signal as Whisper writes them, with start and end in seconds."""
        if not len(signal):
            return []
        found = self._segments(signal, word_timestamps=True)
        return [(w.word, w.start, w.end) for segment in found for w in segment.words or ()]

    def _segments(self, signal: Float32[np.ndarray, " n"], **options: bool) -> Iterable[Any]:
        segments, _ = self._model.transcribe(
            signal,
            language=self.language,
            beam_size=BEAMS,
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=False,
            **options,
        )
        return segments
