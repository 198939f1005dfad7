"""`/health`, `/ready`, `/metrics` and `/v1/models`."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from indextts_jax.server.problems import ApiError
from indextts_jax.server.routes.common import ERRORS, state_of

router = APIRouter()


@router.get("/health", responses=ERRORS)
async def health(request: Request) -> JSONResponse:
    """Whether the process lives."""
    state = state_of(request)
    if state.engine.failed is not None:
        raise ApiError(503, "the engine has failed: this server is ending", code="engine_failed")
    return JSONResponse({"status": "ok"})


@router.get("/ready", responses=ERRORS)
async def ready(request: Request) -> JSONResponse:
    """Whether requests are taken; before and after, 503 with the reason."""
    state_of(request).check_ready()
    return JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=Response, responses=ERRORS)
async def metrics(request: Request) -> Response:
    """Counters, in the form of Prometheus."""
    page = state_of(request).metrics.page()
    return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/v1/models", responses=ERRORS)
async def models(request: Request) -> JSONResponse:
    """The model, and the other names that it answers to."""
    names = state_of(request).options.model_names
    return JSONResponse({"object": "list", "data": [_model(name) for name in names]})


@router.get("/v1/models/{name}", responses=ERRORS)
async def model(request: Request, name: str) -> JSONResponse:
    """One model."""
    state_of(request).check_model(name)
    return JSONResponse(_model(name))


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "indextts_jax"}
