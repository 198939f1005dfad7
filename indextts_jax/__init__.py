"""IndexTTS-2 in JAX: zero-shot speech in a given voice, with a given emotion.

    from indextts_jax import IndexTTS, Settings

    tts = IndexTTS.load("indextts2")  # made by python -m indextts_jax.import
    anna = tts.voice("anna.wav")
    speech = tts.speak("Good morning.", anna, settings=Settings(), seed=0)
    speech.save("morning.wav")

The public names are listed in `__init__.pyi` and imported on first use: importing JAX takes
seconds, and a command that only prints its help should not wait for it.
"""

import ast
import importlib
import pathlib


def _homes() -> dict[str, str]:
    """The module of each public name (`lazy_loader` does this for one package; we have two)."""
    stub = ast.parse(pathlib.Path(__file__).with_suffix(".pyi").read_text("utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {name.name: str(node.module) for node in imports for name in node.names}


_HOMES = _homes()
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
