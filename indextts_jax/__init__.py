"""IndexTTS-2 in JAX: zero-shot speech in a given voice, with a given emotion.

    from indextts_jax import IndexTTS, Settings

    tts = IndexTTS.load("indextts2")  # made by python -m indextts_jax.import
    anna = tts.voice("anna.wav")
    speech = tts.speak("Good morning.", anna, settings=Settings(), seed=0)
    speech.save("morning.wav")

What is named here is the public interface; each name is imported when it is first asked for.
"""

import sys

if sys.argv[:1] == ["-m"] and any("indextts_jax." in word for word in sys.orig_argv):
    # One of our commands is starting: Python has yet to import everything else.
    from indextts_jax.interruption import end_while_starting

    end_while_starting()

TYPE_CHECKING = False  # type checkers take it for true; `typing` would be slow to import
if TYPE_CHECKING:
    from indextts_jax.batch import Utterance
    from indextts_jax.conversion import (
        CheckpointSummary,
        demo_speaker,
        describe_checkpoint,
        import_checkpoint,
        validate_checkpoint,
    )
    from indextts_jax.delivery import Part
    from indextts_jax.devices import enable_compilation_cache
    from indextts_jax.emotion import EMOTIONS
    from indextts_jax.emotion_reply import ReplyError
    from indextts_jax.emotion_text import Reading
    from indextts_jax.errors import Failure, InputError, PromptWarning, TextWarning
    from indextts_jax.guards import Fault
    from indextts_jax.pipeline import IndexTTS
    from indextts_jax.prompts import Voice
    from indextts_jax.sampling.generate import SamplingConfig
    from indextts_jax.settings import Settings
    from indextts_jax.speech import Segment, Speech
    from indextts_jax.text.frontend import Script
    from indextts_jax.text.glossary import Glossary
    from indextts_jax.timing import Timing
    from indextts_jax.validation.whole import Validation
    from indextts_jax.voices import load_voice, save_voice, voice_path
    from indextts_jax.warmup import warm_up, warm_up_prompts

__all__ = [
    "EMOTIONS",
    "CheckpointSummary",
    "Failure",
    "Fault",
    "Glossary",
    "IndexTTS",
    "InputError",
    "Part",
    "PromptWarning",
    "Reading",
    "ReplyError",
    "SamplingConfig",
    "Script",
    "Segment",
    "Settings",
    "Speech",
    "TextWarning",
    "Timing",
    "Utterance",
    "Validation",
    "Voice",
    "demo_speaker",
    "describe_checkpoint",
    "enable_compilation_cache",
    "import_checkpoint",
    "load_voice",
    "save_voice",
    "validate_checkpoint",
    "voice_path",
    "warm_up",
    "warm_up_prompts",
]

if not TYPE_CHECKING:  # there, a name that does not exist is to be an error
    # Importing JAX takes seconds: a command that only shows its flags must not wait for it.
    _HOMES = {
        "batch": ("Utterance",),
        "conversion": (
            "CheckpointSummary",
            "demo_speaker",
            "describe_checkpoint",
            "import_checkpoint",
            "validate_checkpoint",
        ),
        "delivery": ("Part",),
        "devices": ("enable_compilation_cache",),
        "emotion": ("EMOTIONS",),
        "emotion_reply": ("ReplyError",),
        "emotion_text": ("Reading",),
        "errors": ("Failure", "InputError", "PromptWarning", "TextWarning"),
        "guards": ("Fault",),
        "pipeline": ("IndexTTS",),
        "prompts": ("Voice",),
        "sampling.generate": ("SamplingConfig",),
        "settings": ("Settings",),
        "speech": ("Segment", "Speech"),
        "text.frontend": ("Script",),
        "text.glossary": ("Glossary",),
        "timing": ("Timing",),
        "validation.whole": ("Validation",),
        "voices": ("load_voice", "save_voice", "voice_path"),
        "warmup": ("warm_up", "warm_up_prompts"),
    }
    _HOME = {name: home for home, names in _HOMES.items() for name in names}

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        found = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
