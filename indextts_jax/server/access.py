"""Keys: who may use the server."""

import hashlib
import hmac
import re
import threading
from pathlib import Path

from indextts_jax.errors import InputError
from indextts_jax.server.problems import ApiError

_LINE = re.compile(r"([0-9a-f]{64})(?:\s+(\S+))?")
PROTOCOL = "openai-insecure-api-key."  # of a WebSocket, where a page cannot set a header


class Keys:
    """The keys of a file: the SHA-256 of a key on each line, and optionally a name for the log.

    Lines that are empty or begin with `#` are comments.

    Raises:
        InputError: for a file that cannot be read, holds another line, or no key.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()
        self._known = self._read()

    def reread(self) -> None:
        """Reads the file again.

        Raises:
            InputError: as at first; the keys stay what they were.
        """
        known = self._read()
        with self._lock:
            self._known = known

    def _read(self) -> list[tuple[bytes, str]]:
        try:
            text = self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path} cannot be read as a file of keys: {error}") from error
        found = []
        for number, line in enumerate(map(str.strip, text.splitlines()), 1):
            if not line or line.startswith("#"):
                continue
            match = _LINE.fullmatch(line.lower() if " " not in line else line)
            if match is None:
                raise InputError(
                    f"{self.path}:{number}: expected the SHA-256 of a key (64 hexadecimal digits) "
                    "and a name"
                )
            found.append((bytes.fromhex(match[1]), match[2] or f"key{number}"))
        if not found:
            raise InputError(f"{self.path} holds no key")
        return found

    def owner(self, key: str | None) -> str:
        """The name of a key.

        Raises:
            ApiError: 401, for a key that is missing or unknown.
        """
        digest = hashlib.sha256((key or "").encode("utf-8", "surrogateescape")).digest()
        owner = None
        for known, name in self._known:  # all of them, so that the time says nothing
            if hmac.compare_digest(known, digest):
                owner = name
        if owner is None or not key:
            shown = "the API key is wrong" if key else "an API key is needed: Authorization: Bearer"
            headers = {"www-authenticate": "Bearer"}
            raise ApiError(401, shown, code="invalid_api_key", headers=headers)
        return owner


def key_of(headers: dict[str, str]) -> str | None:
    """The key of a request; `headers` have names in lower case."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    for protocol in headers.get("sec-websocket-protocol", "").split(","):
        if protocol.strip().startswith(PROTOCOL):
            return protocol.strip().removeprefix(PROTOCOL)
    return None
