"""`/v1/about`: what this server is and can do, for pages and programs that adapt to it."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from indextts_jax.audio.encoders import FORMATS
from indextts_jax.checkpoint.adapter import licence_of
from indextts_jax.config import EMOTIONS, RELEASES
from indextts_jax.engine.alignment.words import heads_of
from indextts_jax.runtime.devices import describe
from indextts_jax.server.routes.common import ERRORS, state_of
from indextts_jax.server.state import ServerState
from indextts_jax.timings.words import ATTENTION, ESTIMATE
from indextts_jax.utils.hashing import versions

router = APIRouter()
NUMBERS = ("temperature", "top_k", "top_p", "repetition_penalty")  # that requests may change


@router.get("/v1/about", responses=ERRORS)
async def about(request: Request) -> JSONResponse:
    """The model, how it runs, limits, and the values of fields that a request leaves out."""
    return JSONResponse(about_data(state_of(request)))


def about_data(state: ServerState) -> dict[str, Any]:
    """The answer: names, seconds, bytes and Hz."""
    model, options, settings = state.tts.model, state.options, state.settings
    return {
        "model": options.model_names[0],
        "release": RELEASES[model.config.version].name,
        "weights": "random" if model.provenance is None else "checkpoint",
        "licence": licence_of(model.provenance) if model.provenance is not None else "",
        "dtype": model.run.dtype or "float32",
        "device": describe(model.device),
        "versions": {one.package: one.version for one in versions()},
        "sample_rate": state.tts.sample_rate,
        "formats": list(FORMATS),
        "emotions": list(EMOTIONS),
        "reads_emotion": state.tts.reader is not None,
        "word_timestamps": ATTENTION if heads_of(model) else ESTIMATE,
        "uploads": options.uploads,
        "limits": {"characters": options.text_characters, "bytes": options.body_bytes},
        "defaults": {
            **{name: getattr(settings.sampling, name) for name in NUMBERS},
            "pause": settings.pause,
        },
    }
