"""The hub, through `huggingface_hub`: what it says of a file, and the file's bytes from any point.

The package's own download is not used: since version 1.x it throws a partial file away when it is
stopped, and it fetches big files by its Xet protocol, which mirrors do not speak. Here big files
come by plain HTTP, which the hub and its mirrors serve for all.
"""

import contextlib
import dataclasses
import importlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

from indextts_jax.errors import InputError
from indextts_jax.utils.notices import notify

DEFAULT_ENDPOINT = "https://huggingface.co"
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before each new attempt
MAX_WAIT = 60.0  # seconds that a server may ask for
TRANSIENT = (408, 429, 500, 502, 503, 504)
INSTALL = "pip install 'huggingface_hub>=1.3,<3' (or this package with its extra: [hub])"


_T = TypeVar("_T")


class DownloadError(RuntimeError):
    """A failure on the way to a file: not the user's doing. The message is the whole report."""


class Interrupted(Exception):
    """The connection broke, or the server is busy: worth another attempt."""

    def __init__(self, message: str, wait: float = 0.0):
        super().__init__(message)
        self.wait = wait


@dataclasses.dataclass(frozen=True)
class Remote:
    """What the hub says of a file."""

    repository: str
    name: str
    revision: str  # what to ask for: the commit, if the hub tells it
    commit: str | None
    etag: str | None  # SHA-256 of a big file, git's hash of a small one; mirrors may have others
    size: int | None


@dataclasses.dataclass(frozen=True)
class Hub:
    """A hub at an address; `HF_ENDPOINT` names a mirror."""

    endpoint: str
    package: Any  # huggingface_hub
    httpx: Any  # the HTTP client that the package uses
    warn: Callable[[str], object]  # called before each new attempt

    @classmethod
    def open(cls, warn: Callable[[str], object] = notify) -> "Hub":
        """The hub that the environment names.

        Raises:
            InputError: if `huggingface_hub` is missing or too old, or the address is none.
        """
        try:
            import huggingface_hub.constants
            import huggingface_hub.errors
            import huggingface_hub.utils
        except ImportError as error:
            raise InputError(f"downloading needs huggingface_hub: {INSTALL}") from error
        version = huggingface_hub.__version__
        if not (1, 3) <= tuple(int(part) for part in version.split(".")[:2]) < (3, 0):
            raise InputError(f"huggingface_hub {version} is not supported: {INSTALL}")
        endpoint = (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(f"HF_ENDPOINT is {endpoint!r}; an address like {DEFAULT_ENDPOINT}")
        # The package's own HTTP client: httpx until version 1, httpx2 since version 2.
        httpx = huggingface_hub.errors.HfHubHTTPError.__bases__[0].__module__.partition(".")[0]
        return cls(endpoint, huggingface_hub, importlib.import_module(httpx), warn)

    def _url(self, repository: str, name: str, revision: str) -> str:
        url: str = self.package.hf_hub_url(
            repository, name, revision=revision, endpoint=self.endpoint
        )
        return url

    def describe(self, repository: str, name: str, revision: str) -> Remote:
        """What the hub says of a file, after some attempts.

        Raises:
            DownloadError: if it says nothing, or has no such file.
        """

        def ask() -> Remote:
            with self._explained(repository, name, revision):
                told = self.package.get_hf_file_metadata(
                    self._url(repository, name, revision), endpoint=self.endpoint
                )
            if told.commit_hash is None and told.etag is None:
                raise DownloadError(
                    f"{self.endpoint} does not answer like a hub (no commit, no ETag for {name} of "
                    f"{repository}): is HF_ENDPOINT right, or does a proxy want you to log in?"
                )
            commit, etag = told.commit_hash, told.etag
            return Remote(repository, name, commit or revision, commit, etag, told.size)

        return self.retry(ask, attempts=3)

    @contextlib.contextmanager
    def stream(self, remote: Remote, start: int) -> Iterator[tuple[int, Any]]:
        """The bytes of a file from `start` on, in blocks, and the point where they do start.

        A server that knows no ranges sends the file from its beginning.

        Raises:
            Interrupted: if it is worth another attempt.
            DownloadError: if not.
        """
        headers = self.package.utils.build_hf_headers()
        headers["Accept-Encoding"] = "identity"  # lengths and ranges count the file's own bytes
        if start:
            headers["Range"] = f"bytes={start}-"
        with (
            self._explained(remote.repository, remote.name, remote.revision),
            self.package.get_session().stream(
                "GET",
                self._url(remote.repository, remote.name, remote.revision),
                headers=headers,
                follow_redirects=True,
                timeout=self.package.constants.HF_HUB_DOWNLOAD_TIMEOUT,
            ) as response,
        ):
            self.package.utils.hf_raise_for_status(response)
            yield (_start_of(response, start), response.iter_bytes(2**16))

    def retry(
        self,
        attempt: Callable[[], _T],
        progressed: Callable[[], bool] = lambda: False,
        attempts: int = len(WAITS) + 1,
    ) -> _T:
        """What an attempt gives; after an interruption it is made again, after a longer wait.

        Attempts that brought something new, as `progressed` says, are not counted.

        Raises:
            DownloadError: once that many attempts in a row were in vain.
        """
        failed = 0
        while True:
            try:
                return attempt()
            except Interrupted as interruption:
                failed = 1 if progressed() else failed + 1
                if failed >= attempts:
                    raise DownloadError(
                        f"{interruption}; given up after {failed} attempts"
                    ) from interruption
                wait = max(WAITS[failed - 1], interruption.wait)
                self.warn(f"{interruption}; trying again in {wait:.0f} s")
                time.sleep(wait)

    @contextlib.contextmanager
    def _explained(self, repository: str, name: str, revision: str) -> Iterator[None]:
        """Turns what the packages raise into one line."""
        httpx, errors = self.httpx, self.package.errors
        try:
            yield
        except errors.OfflineModeIsEnabled as error:
            raise InputError("HF_HUB_OFFLINE forbids downloads: unset it") from error
        except errors.HfHubHTTPError as error:
            raise self._status(error.response, repository, name, revision) from error
        except httpx.TransportError as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise Interrupted(
                f"no connection to {self.endpoint}, for {name} of {repository} ({reason:.160}); "
                "HF_ENDPOINT can name a mirror"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DownloadError(
                f"{self.endpoint}, for {name} of {repository}: {reason:.160}"
            ) from error

    def _status(self, response: Any, repository: str, name: str, revision: str) -> Exception:
        """What an answer other than success means."""
        code = response.status_code
        of = f"{name} of {repository}"
        if code in TRANSIENT:
            after = response.headers.get("Retry-After", "")
            wait = min(float(after), MAX_WAIT) if after.isdigit() else 0.0
            busy = "too many requests" if code == 429 else "the server is busy or broken"
            return Interrupted(f"{self.endpoint} answers {code} for {of}: {busy}", wait)
        if code in (401, 403):
            return DownloadError(
                f"{self.endpoint} answers {code} for {of}: it wants a login. Accept the terms on "
                f"{self.endpoint}/{repository}, then `hf auth login`, or set HF_TOKEN"
            )
        if code == 404:
            return DownloadError(
                f"{self.endpoint} has no {of} (404, revision {revision}): was it moved, or is the "
                "mirror incomplete?"
            )
        return DownloadError(f"{self.endpoint} answers {code} for {of}")


def _start_of(response: Any, asked: int) -> int:
    """The point of the file at which an answer starts."""
    if response.status_code != 206:
        return 0
    words = response.headers.get("Content-Range", "").removeprefix("bytes ").split("-")
    return int(words[0]) if words[0].isdigit() else asked
