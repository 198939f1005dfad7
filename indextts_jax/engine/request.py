"""A request: what is spoken, in which voice, with which emotion, and how."""

import dataclasses

from indextts_jax.emotion.request import Emotion
from indextts_jax.engine.seeds import check_seed
from indextts_jax.engine.settings import Settings
from indextts_jax.voices.analysis import Voice


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """All inputs of speech: the same request gives the same waveform.

    Raises:
        InputError: for a seed out of range.
    """

    text: str
    voice: Voice
    emotion: Emotion = dataclasses.field(default_factory=Emotion)
    seed: int = 0
    settings: Settings | None = None  # by default those of the checkpoint, or the reference's
    # Of the text, for IndexTTS-2.5: a code such as `zh`, `en`, `ja`, `es`, `ar`, or `auto` (the
    # default), which finds it in the text. IndexTTS-2 takes none.
    language: str | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
