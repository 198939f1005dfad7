"""The log: one line of JSON for each request."""

import json
import sys
import threading
import time
from typing import Any, TextIO


class RequestLog:
    """Writes lines to a stream; threads may share it."""

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()

    def write(self, **fields: Any) -> None:
        """Writes one line; fields that are None are left out."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        given = {name: value for name, value in fields.items() if value is not None}
        line = json.dumps({"time": at, **given}, ensure_ascii=True, default=str)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()
