"""Recipes as human-readable text."""

import dataclasses
from typing import Any

from indextts_jax.emotion.request import OPTIONS, Emotion
from indextts_jax.engine.recipe import Recipe
from indextts_jax.engine.settings import Settings
from indextts_jax.errors import one_line
from indextts_jax.utils.hashing import FileHash
from indextts_jax.utils.strict_data import to_data
from indextts_jax.voices.analysis import EmotionPrompt


def _changed(settings: Settings) -> str:
    """The settings that differ from the defaults."""

    def flat(data: Any, path: str = "") -> dict[str, Any]:
        if not isinstance(data, dict):
            return {path: data}
        pairs = [flat(value, f"{path}.{key}" if path else key) for key, value in data.items()]
        return {key: value for part in pairs for key, value in part.items()}

    plain = dataclasses.replace(settings, glossary=None)
    ours, usual = flat(to_data(plain)), flat(to_data(Settings()))
    shown = [f"{key} {value}" for key, value in ours.items() if value != usual[key]]
    if settings.glossary is not None:
        shown.append(f"glossary of {len(settings.glossary.terms)}")
    return ", ".join(shown) or "the defaults"


def _excerpt(source: FileHash, start: float) -> str:
    where = f", from second {start:g} on" if start else ""
    return f"{source.name} ({source.sha256[:12]}){where}"


def _emotion(emotion: Emotion) -> str:
    """The options of an emotion that were set."""
    shown = []
    for name, option in OPTIONS.items():
        value = getattr(emotion, name)
        if isinstance(value, EmotionPrompt) and value.source is not None:
            shown.append(_excerpt(value.source, value.start))
        elif isinstance(value, tuple):
            shown.append(", ".join(f"{number:g}" for number in value))
        elif value is True:
            shown.append(name)
        elif value != option.default:
            shown.append(f"{name} {value}")
    return "; ".join(shown)


def format_recipe(made: Recipe) -> str:
    """The recipe as human-readable text."""
    emotion = _emotion(made.emotion)
    parts = [
        f"text        {made.text}",
        f"speaker     {_excerpt(made.speaker, made.speaker_start)}",
        *([f"emotion     {emotion}"] if emotion else []),
        *([f"language    {made.language}"] if made.language else []),
        f"seed        {made.seed}",
        f"settings    {_changed(made.settings)}",
        f"checkpoint  {made.checkpoint[:12]}",
        *(
            f"adapter     {one.name} ({one.digest[:12]}), strength {one.strength:g}"
            for one in made.adapters
        ),
        f"device      {made.device}, {made.dtype or 'float32'}"
        + ", fused attention" * bool(made.fused_attention)
        + ", deterministic" * made.deterministic,
        f"created     {made.created}",
        "versions    " + ", ".join(f"{v.package} {v.version}" for v in made.versions),
    ]
    return "\n".join(map(one_line, parts))
