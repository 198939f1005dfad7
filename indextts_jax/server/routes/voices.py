"""`/v1/audio/voices`: list, upload, delete, sample."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import UploadFile

from indextts_jax.server.answers import SpeechAnswer
from indextts_jax.server.fields import Delivery
from indextts_jax.server.problems import ApiError
from indextts_jax.server.routes.common import ERRORS, caller, state_of
from indextts_jax.server.speaking import Speaking, order_of

router = APIRouter()
FORM_FIELDS = 16
SAMPLE_TEXT = "Hello. This is how this voice sounds."
FORM: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["name", "audio_sample", "consent"],
                "properties": {
                    "name": {"type": "string"},
                    "audio_sample": {"type": "string", "format": "binary"},
                    "consent": {"type": "string", "minLength": 1},
                },
            }
        }
    },
}


@router.get("/v1/audio/voices", responses=ERRORS)
async def voices(request: Request, legacy: bool = False) -> JSONResponse:
    """The voices that requests may name; with `legacy`, as strings."""
    infos = await asyncio.to_thread(state_of(request).voices.infos)
    shown: list[Any] = [info.id if legacy else info.data() for info in infos]
    return JSONResponse({"voices": shown})


@router.post("/v1/audio/voices", responses=ERRORS, openapi_extra={"requestBody": FORM})
async def upload(request: Request) -> JSONResponse:
    """Makes a voice from a recording: multipart `name`, `audio_sample`, `consent`."""
    state = state_of(request)
    state.check_ready()
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(400, "expected multipart/form-data with name, audio_sample and consent")
    async with request.form(max_files=1, max_fields=FORM_FIELDS, max_part_size=64 * 2**10) as form:
        name, sample, consent = form.get("name"), form.get("audio_sample"), form.get("consent")
        if not isinstance(name, str) or not name:
            raise ApiError(400, "name is missing", "name")
        if not isinstance(sample, UploadFile):
            raise ApiError(400, "audio_sample is missing: a recording, as a file", "audio_sample")
        if not isinstance(consent, str) or not consent.strip():
            raise ApiError(
                400,
                "consent is missing: say who agreed to the use of this voice, and when",
                "consent",
            )
        data = await sample.read()
        info, warnings = await state.voices.add(name, data)
    request.scope["state"]["notes"].update(added=info.id, consent=consent[:500])
    return JSONResponse({**info.data(), "warnings": list(warnings)})


@router.delete("/v1/audio/voices/{voice_id}", responses=ERRORS)
async def delete(request: Request, voice_id: str) -> JSONResponse:
    """Deletes a saved voice."""
    await asyncio.to_thread(state_of(request).voices.delete, voice_id)
    request.scope["state"]["notes"].update(deleted=voice_id)
    return JSONResponse({"id": voice_id, "deleted": True})


@router.get(
    "/v1/audio/voices/{voice_id}/sample",
    response_class=Response,
    responses={
        200: {"content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}},
        **ERRORS,
    },
)
async def sample(request: Request, voice_id: str) -> Response:
    """A sentence in a voice, as WAV; always the same."""
    state = state_of(request)
    state.check_ready()
    if voice_id not in await asyncio.to_thread(state.voices.names):
        raise ApiError(404, f"voice {voice_id!r:.80} does not exist", code="voice_not_found")
    model = state.options.model_names[0]
    fields = Delivery(model=model, voice=voice_id, response_format="wav", seed=0)
    order = await order_of(state, fields, SAMPLE_TEXT)
    speaking = Speaking(state, order, request.scope["state"]["began"])
    await speaking.begin(caller(request))
    return SpeechAnswer(speaking, "wav", events=False)
