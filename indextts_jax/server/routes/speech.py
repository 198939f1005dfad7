"""`POST /v1/audio/speech`, one text or many, and `POST /v1/preview`."""

import asyncio
import base64
import dataclasses
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from indextts_jax.audio.encoders import FORMATS, Encoder
from indextts_jax.engine.alignment.words import merged
from indextts_jax.server.answers import SpeechAnswer, encoded
from indextts_jax.server.fields import (
    BatchFields,
    BatchItem,
    Delivery,
    PreviewFields,
    SpeechFields,
)
from indextts_jax.server.problems import ApiError, api_error, validation
from indextts_jax.server.routes.common import ERRORS, caller, state_of
from indextts_jax.server.speaking import (
    Speaking,
    check_text,
    glossary_of,
    ignored_fields,
    order_of,
)
from indextts_jax.server.state import ServerState
from indextts_jax.text.script_data import script_data
from indextts_jax.timings.words import Word

router = APIRouter()
AUDIO: dict[str, Any] = {
    one.media_type: {"schema": {"type": "string", "format": "binary"}} for one in FORMATS.values()
}
EVENTS: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}}


@router.post(
    "/v1/audio/speech",
    response_class=Response,
    responses={200: {"content": AUDIO | EVENTS}, **ERRORS},
)
async def speech(request: Request, fields: SpeechFields) -> Response:
    """Speaks a text: bytes as they are made, or events."""
    state = state_of(request)
    state.check_ready()
    if fields.word_timestamps and fields.stream_format != "sse":
        message = "word_timestamps come as events: they need stream_format sse"
        raise ApiError(400, message, "word_timestamps")
    order = await order_of(state, fields, fields.input)
    speaking = Speaking(state, order, request.scope["state"]["began"])
    await speaking.begin(caller(request))
    return SpeechAnswer(speaking, fields.response_format, events=fields.stream_format == "sse")


@router.post("/v1/audio/speech/batch", responses=ERRORS)
async def batch(request: Request, fields: BatchFields) -> JSONResponse:
    """Speaks many texts; each has a status of its own."""
    state = state_of(request)
    state.check_ready()
    if len(fields.items) > (most := state.options.batch_items):
        raise ApiError(400, f"{len(fields.items)} items, the most allowed is {most}", "items")
    ignored_fields(state, fields)
    tasks = [
        asyncio.ensure_future(_item(request, state, fields, item, number))
        for number, item in enumerate(fields.items)
    ]
    try:
        results = await _unless_left(request, asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
    succeeded = sum(one["status"] == "success" for one in results)
    return JSONResponse(
        {
            "id": request.scope["state"]["notes"]["id"],
            "results": results,
            "total": len(results),
            "succeeded": succeeded,
            "failed": len(results) - succeeded,
        }
    )


async def _unless_left(request: Request, work: "asyncio.Future[list[Any]]") -> list[Any]:
    """The result of work, which is cancelled when the client goes."""

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    leaving = asyncio.ensure_future(left())
    both: set[asyncio.Future[Any]] = {work, leaving}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            raise ApiError(499, "the client has gone")
        return work.result()
    finally:
        leaving.cancel()


async def _item(
    request: Request, state: ServerState, common: BatchFields, item: BatchItem, number: int
) -> dict[str, Any]:
    """The result of one item; never raises for what only this item has wrong."""
    given = common.model_dump(exclude={"items"}, exclude_unset=True)
    given = {"response_format": "wav", **given, **(item.model_extra or {})}
    try:
        fields = Delivery.model_validate(given)
        order = await order_of(state, fields, item.input)
        speaking = Speaking(state, order, request.scope["state"]["began"])
        await speaking.begin(caller(request), streamed=False)
        try:
            data, words = await whole(speaking, fields.response_format)
        finally:
            speaking.cancel()
    except ValidationError as error:
        return _failed(number, validation(error.errors()))
    except Exception as error:
        return _failed(number, api_error(error))
    return {
        "index": number,
        "status": "success",
        "audio_data": base64.b64encode(data).decode("ascii"),
        "media_type": FORMATS[fields.response_format].media_type,
        "usage": speaking.usage(),
        "seed": order.request.seed,
        **({"words": [dataclasses.asdict(word) for word in words]} if order.timings else {}),
    }


def _failed(number: int, error: ApiError) -> dict[str, Any]:
    return {"index": number, "status": "error", "error": str(error), "code": error.status}


async def whole(speaking: Speaking, name: str) -> tuple[bytes, tuple[Word, ...]]:
    """All bytes of a request, and its words, if their times are requested.

    Raises:
        Exception: whatever the engine failed with.
    """
    encoder = Encoder(name, speaking.state.tts.sample_rate, speaking.order.rate)
    sounds = speaking.sounds()
    parts, words = [], list[Word]()
    async for data, sound in encoded(encoder, await anext(sounds), sounds):
        parts.append(data)
        if sound is not None:
            speaking.sent(sound)
            words += sound.words or ()
    return b"".join(parts), merged(words)


@router.post("/v1/preview", responses=ERRORS)
async def preview(request: Request, fields: PreviewFields) -> JSONResponse:
    """How a text would be read: segments, pauses, unknown pieces, estimated seconds."""
    state = state_of(request)
    ignored_fields(state, fields)
    check_text(state, fields.input)
    settings = state.settings
    if fields.pause is not None:
        settings = dataclasses.replace(settings, pause=fields.pause)
    if fields.glossary is not None:
        settings = dataclasses.replace(settings, glossary=glossary_of(fields.glossary))
    script = await asyncio.to_thread(state.tts.script, fields.input, settings, fields.language)
    return JSONResponse(script_data(script))
