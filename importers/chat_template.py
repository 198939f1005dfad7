"""The chat template of the text-to-emotion model: it must give the prompt that we build."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from importers.mapped import SourceError
from importers.published import MAX_BYTES
from indextts_jax.emotion_text import SYSTEM, prompt_of

FILE = "chat_template.jinja"
NAMED_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")

# What a template might trim, escape, or take for something else.
PROBES = (
    "今天天气真好。",
    "  two  spaces,\n\ta tab & <b>'\"</b> ",
    "{{ 7 * 7 }}",
    "/no_think 低落",
)


def find_template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """The folder's template, or the one in `tokenizer_config.json`; none if there is neither.

    Raises:
        SourceError: if it is no text.
    """
    path = folder / FILE
    if path.is_file():
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{path}: {path.stat().st_size:,} bytes are too many for a template")
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise SourceError(f"{path} is not UTF-8 text") from error
    template = settings.get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in template}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _spelling(token: Any) -> Any:
    return token.get("content") if isinstance(token, Mapping) else token


def render(template: str, text: str, settings: Mapping[str, Any]) -> str:
    """What the template makes of an emotion text, rendered as transformers does, in a sandbox."""
    import jinja2
    import jinja2.ext
    import jinja2.sandbox

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def tojson(value: Any, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    helpers: dict[str, Callable[..., Any]] = {"raise_exception": refuse}
    environment.globals.update(helpers)
    environment.filters["tojson"] = tojson
    tokens = {name: _spelling(settings.get(name)) for name in NAMED_TOKENS}
    return environment.from_string(template).render(
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}],
        tools=None,
        documents=None,
        add_generation_prompt=True,
        enable_thinking=False,
        **{name: token for name, token in tokens.items() if token is not None},
    )


def check_template(template: str, settings: Mapping[str, Any]) -> list[str]:
    """Where the template gives another string than our own prompt."""
    for probe in PROBES:
        try:
            given = render(template, probe, settings)
        except Exception as error:  # a template may raise whatever it calls
            kind = type(error).__name__
            return [f"the template cannot be rendered ({kind}: {str(error)[:120]})"]
        if given != (expected := prompt_of(probe)):
            return [f"the template gives {given!r:.240}, expected {expected!r}"]
    return []
