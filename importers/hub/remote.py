"""The hub, through `huggingface_hub`: file descriptions, and a file's bytes from any offset.

The package's own download is not used: since version 1 it discards a partial file when it is
interrupted, and it fetches large files by its Xet protocol, which mirrors do not support. Here all
files are fetched by plain HTTP, which the hub and its mirrors serve.
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
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before each retry
MAX_WAIT = 60.0  # longest wait, in seconds, that a server may request
TRANSIENT = (408, 429, 500, 502, 503, 504)
INSTALL = "pip install 'huggingface_hub>=1.3,<3' (or this package with its extra: [hub])"


_T = TypeVar("_T")


class DownloadError(RuntimeError):
    """A download failed, and not because of wrong input. The message is the whole report."""


class Interrupted(Exception):
    """The connection broke or the server is busy: retry."""

    def __init__(self, message: str, wait: float = 0.0):
        super().__init__(message)
        self.wait = wait


@dataclasses.dataclass(frozen=True)
class Remote:
    """The hub's description of a file."""

    repository: str
    name: str
    revision: str  # revision to request: the commit, if the hub reports it
    commit: str | None
    etag: str | None  # SHA-256 of a large file, git's hash of a small one; mirrors may use others
    size: int | None


@dataclasses.dataclass(frozen=True)
class Hub:
    """A hub by address; `HF_ENDPOINT` names a mirror."""

    endpoint: str
    package: Any  # huggingface_hub
    httpx: Any  # the HTTP client that the package uses
    warn: Callable[[str], object]  # called before each retry

    @classmethod
    def open(cls, warn: Callable[[str], object] = notify) -> "Hub":
        """The hub that the environment configures.

        Raises:
            InputError: if `huggingface_hub` is missing or too old, or the address is invalid.
        """
        try:
            import huggingface_hub.constants
            import huggingface_hub.errors
            import huggingface_hub.utils
        except ImportError as error:
            missing = (error.name or "huggingface_hub").partition(".")[0]
            if missing != "huggingface_hub":
                raise _lacking(missing) from error
            raise InputError(f"downloading needs huggingface_hub: {INSTALL}") from error
        version = huggingface_hub.__version__
        if not (1, 3) <= tuple(int(part) for part in version.split(".")[:2]) < (3, 0):
            raise InputError(f"huggingface_hub {version} is not supported: {INSTALL}")
        endpoint = (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(f"HF_ENDPOINT is {endpoint!r}; expected e.g. {DEFAULT_ENDPOINT}")
        # The package's own HTTP client: httpx until version 1, httpx2 since version 2.
        httpx = huggingface_hub.errors.HfHubHTTPError.__bases__[0].__module__.partition(".")[0]
        try:
            client = importlib.import_module(httpx)
        except ImportError as error:
            raise _lacking(httpx) from error
        return cls(endpoint, huggingface_hub, client, warn)

    def _url(self, repository: str, name: str, revision: str) -> str:
        url: str = self.package.hf_hub_url(
            repository, name, revision=revision, endpoint=self.endpoint
        )
        return url

    def describe(self, repository: str, name: str, revision: str) -> Remote:
        """The hub's description of a file, with retries.

        Raises:
            DownloadError: if it does not answer, or has no such file.
        """

        def ask() -> Remote:
            with self._explained(repository, name, revision):
                metadata = self.package.get_hf_file_metadata(
                    self._url(repository, name, revision), endpoint=self.endpoint
                )
            if metadata.commit_hash is None and metadata.etag is None:
                raise DownloadError(
                    f"{self.endpoint} does not answer like a hub (no commit, no ETag for {name} of "
                    f"{repository}): is HF_ENDPOINT right, or does a proxy require a login?"
                )
            commit, etag = metadata.commit_hash, metadata.etag
            return Remote(repository, name, commit or revision, commit, etag, metadata.size)

        return self.retry(ask, attempts=3)

    @contextlib.contextmanager
    def stream(self, remote: Remote, start: int) -> Iterator[tuple[int, Any]]:
        """A file's bytes from `start` on, in blocks, and the offset at which they really start.

        A server without range support sends the file from its beginning.

        Raises:
            Interrupted: if a retry may help.
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
        """The result of `attempt`; retries after an interruption, each time after a longer wait.

        Attempts that made progress, according to `progressed`, are not counted.

        Raises:
            DownloadError: once that many attempts in a row have failed.
        """
        failed = 0
        while True:
            try:
                return attempt()
            except Interrupted as interruption:
                failed = 1 if progressed() else failed + 1
                if failed >= attempts:
                    raise DownloadError(
                        f"{interruption}; gave up after {failed} attempts"
                    ) from interruption
                wait = max(WAITS[failed - 1], interruption.wait)
                self.warn(f"{interruption}; retrying in {wait:.0f} s")
                time.sleep(wait)

    @contextlib.contextmanager
    def _explained(self, repository: str, name: str, revision: str) -> Iterator[None]:
        """Converts the packages' exceptions to one-line errors."""
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
        """The error for an HTTP status other than success."""
        code = response.status_code
        of = f"{name} of {repository}"
        if code in TRANSIENT:
            after = response.headers.get("Retry-After", "")
            wait = min(float(after), MAX_WAIT) if after.isdigit() else 0.0
            busy = "too many requests" if code == 429 else "the server is busy or broken"
            return Interrupted(f"{self.endpoint} answers {code} for {of}: {busy}", wait)
        if code in (401, 403):
            return DownloadError(
                f"{self.endpoint} answers {code} for {of}: login required. Accept the terms on "
                f"{self.endpoint}/{repository}, then `hf auth login`, or set HF_TOKEN"
            )
        if code == 404:
            return DownloadError(
                f"{self.endpoint} has no {of} (404, revision {revision}): was it moved, or is the "
                "mirror incomplete?"
            )
        return DownloadError(f"{self.endpoint} answers {code} for {of}")


def _lacking(package: str) -> InputError:
    return InputError(
        f"downloading needs {package}, which huggingface_hub uses: pip install {package}"
    )


def _start_of(response: Any, asked: int) -> int:
    """Offset in the file at which a response starts."""
    if response.status_code != 206:
        return 0
    words = response.headers.get("Content-Range", "").removeprefix("bytes ").split("-")
    return int(words[0]) if words[0].isdigit() else asked
