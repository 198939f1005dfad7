"""A script as plain data, for `preview --json` and the server."""

from typing import Any

from indextts_jax.text.frontend import Script


def script_data(script: Script) -> dict[str, Any]:
    """How a text will be read: segments with estimated seconds, unknown pieces, warnings."""
    return {
        "normalised": script.normalised,
        "lead": script.lead,
        "segments": [
            {
                "text": segment.text,
                "pieces": segment.pieces,
                "ids": segment.ids,
                "seconds": round(segment.duration.usual, 2),
                "pause": segment.pause,
            }
            for segment in script.segments
        ],
        "unknown": [
            {"piece": item.piece, "line": item.line, "column": item.column}
            for item in script.unknown
        ],
        "warnings": script.warnings,
    }
