"""Refusals and failures in the form of OpenAI's API, which its clients know."""

import math
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from indextts_jax.errors import Failure, InputError, one_line

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ALTERNATIVES = ("str", "int", "float", "VoiceId")
LONGEST_WAIT = 60_000  # milliseconds after which a client should not retry by itself


class ApiError(Exception):
    """An answer other than success: status, message, the field that it is about, and a code."""

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.param, self.code = status, param, code
        self.headers = dict(headers or {})

    @property
    def error(self) -> dict[str, Any]:
        """The value of `error` in the body, and in an event of a stream."""
        kind = TYPES.get(self.status)
        if kind is None:
            kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {
            "message": one_line(self),
            "type": kind,
            "param": self.param,
            "code": self.code,
        }

    def response(self) -> JSONResponse:
        return JSONResponse({"error": self.error}, self.status, self.headers)


def busy(message: str, seconds: float) -> ApiError:
    """The refusal of a request that cannot be served now, with the time to wait."""
    wait = max(1, math.ceil(seconds * 1000))
    headers = {"retry-after-ms": str(wait), "retry-after": str(math.ceil(wait / 1000))}
    if wait > LONGEST_WAIT:
        headers["x-should-retry"] = "false"
    return ApiError(429, message, code="queue_full", headers=headers)


def unavailable(message: str) -> ApiError:
    """The refusal while the server starts or ends."""
    return ApiError(503, message, code="unavailable", headers={"retry-after": "5"})


def api_error(error: Exception) -> ApiError:
    """Any exception as an answer; what is not expected says only that it failed."""
    match error:
        case ApiError():
            return error
        case InputError():
            return ApiError(400, str(error), error.fields[0] if error.fields else None)
        case RequestValidationError():
            return validation(error.errors())
        case HTTPException(status_code=status):
            return ApiError(status, str(error.detail), headers=error.headers)
        case Failure():
            return ApiError(500, str(error))
    return ApiError(500, f"the server failed ({type(error).__name__}); its log has the request id")


def validation(problems: Any) -> ApiError:
    """The first problem of the fields of a request, with its path."""
    first = problems[0]
    path = [str(step) for step in first["loc"] if step not in ("body", "query", "path")]
    # pydantic adds the names of alternative types to a path; these are not fields.
    param = ".".join(step for step in path if step not in _ALTERNATIVES and "[" not in step) or None
    message = first["msg"]
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is not JSON: {first.get('ctx', {}).get('error', '')}")
    return ApiError(400, f"{param}: {message}" if param else message, param)


async def respond(request: Request, error: Exception) -> JSONResponse:
    """The handler of every exception of a route."""
    request.scope.setdefault("state", {})["error"] = error
    return api_error(error).response()
