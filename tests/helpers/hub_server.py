"""A hub on this machine for tests: it speaks the protocol of huggingface_hub, and can misbehave.

Small files come straight from the hub; big ones (`lfs`) by a redirect to another host name, as the
published hub does it, with their size and SHA-256 in headers of the redirect.
"""

import dataclasses
import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from importers.hub import command, manifest, remote
from indextts_jax.cli import runner

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclasses.dataclass
class Request:
    method: str
    path: str
    headers: Mapping[str, str]


class Hub:
    """What the server holds, what it is told to do wrong, and what it was asked."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}  # (repository, name)
        self.lfs: set[tuple[str, str]] = set()
        self.lies: dict[str, bytes] = {}  # name: what comes instead of the content
        self.statuses: dict[str, list[tuple[int, dict[str, str]]]] = defaultdict(list)
        self.spare: dict[str, int] = defaultdict(int)  # right answers before those statuses
        self.cuts: dict[str, list[int]] = defaultdict(list)  # bytes after which a GET breaks off
        self.ranges = True
        self.plain = False  # answers like any web server, not like a hub
        self.hold: threading.Event | None = None  # a GET waits for it once it is cut
        self.requests: list[Request] = []
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/mirror/hf"  # a mirror below a path

    def add(self, repository: str, name: str, content: bytes, *, lfs: bool = False) -> None:
        self.files[repository, name] = content
        if lfs:
            self.lfs.add((repository, name))

    def asked(self, method: str, name: str = "") -> list[Request]:
        return [r for r in self.requests if r.method == method and r.path.endswith(name)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *words: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append(Request(self.command, path, dict(self.headers.items())))
        if path.startswith("/cdn/"):
            _, _, owner, model, name = path.split("/", 4)
            self.send(f"{owner}/{model}", name, {}, body=body)
            return
        if not path.startswith("/mirror/hf/"):
            self.refuse(404, {})
            return
        repository, _, rest = path.removeprefix("/mirror/hf/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        key = (repository, name)
        statuses = self.hub.statuses[name]
        if statuses and self.hub.spare[name]:
            self.hub.spare[name] -= 1
            statuses = []
        if statuses:
            self.refuse(*statuses.pop(0))
        elif key not in self.hub.files:
            known = any(repository == held for held, _ in self.hub.files)
            self.refuse(404, {"X-Error-Code": "EntryNotFound" if known else "RepoNotFound"})
        elif revision not in ("main", COMMIT):
            self.refuse(404, {"X-Error-Code": "RevisionNotFound"})
        elif self.hub.plain:
            self.send(repository, name, {}, body=body)
        elif key in self.hub.lfs:
            content = self.hub.files[key]
            self.send_response(302)
            headers = {
                "Location": f"http://localhost:{self.hub.port}/cdn/{repository}/{name}?signature=x",
                "X-Repo-Commit": COMMIT,
                "X-Linked-Size": str(len(content)),
                "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Xet-Hash": "0" * 64,  # it offers Xet, which is not taken
                "X-Xet-Refresh-Route": "/api/xet",
                "Content-Length": "0",
            }
            for header in headers.items():
                self.send_header(*header)
            self.end_headers()
        else:
            content = self.hub.files[key]
            git = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            self.send(repository, name, {"X-Repo-Commit": COMMIT, "ETag": f'W/"{git}"'}, body=body)

    def refuse(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for header in {**headers, "Content-Length": "0"}.items():
            self.send_header(*header)
        self.end_headers()

    def send(self, repository: str, name: str, headers: Mapping[str, str], *, body: bool) -> None:
        content = self.hub.files[repository, name]
        if body:
            content = self.hub.lies.get(name, content)
        start, whole = 0, len(content)
        asked = self.headers.get("Range", "")
        if asked and self.hub.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            content = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        for header in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(*header)
        self.end_headers()
        if not body:
            return
        if self.hub.cuts[name]:
            self.wfile.write(content[: self.hub.cuts[name].pop(0)])
            self.wfile.flush()
            if self.hub.hold is not None:
                self.hub.hold.wait(20)
            self.close_connection = True
            self.connection.close()
        else:
            self.wfile.write(content)


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that listens on this machine alone."""
    hub = Hub()
    handler = type("HubHandler", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *where: None  # type: ignore[method-assign]  # clients hang up
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        if hub.hold is not None:
            hub.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def used(
    monkeypatch: pytest.MonkeyPatch,
    contents: Mapping[manifest.File, bytes],
    known_as: str = "FILES",
) -> Iterator[Hub]:
    """A hub that holds these files, used by the download command; its manifest knows no others.

    Where the manifest knows a size or a hash, it knows those of these contents.
    """
    huggingface_hub = pytest.importorskip("huggingface_hub", minversion="1.3")
    constants = pytest.importorskip("huggingface_hub.constants")
    known = []
    for file, content in contents.items():
        size = None if file.size is None else len(content)
        sha256 = None if file.sha256 is None else hashlib.sha256(content).hexdigest()
        known.append(dataclasses.replace(file, size=size, sha256=sha256))
    monkeypatch.setattr(manifest, known_as, tuple(known))
    # Without telemetry, huggingface_hub asks the real hub for nothing beside the files.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(remote, "WAITS", (0.0,) * len(remote.WAITS))
    for name, value in {"HF_TOKEN": "hf_secret", "NO_PROXY": "127.0.0.1,localhost"}.items():
        monkeypatch.setenv(name, value)
    with serving() as hub:
        for file, content in contents.items():
            lfs = file.size is not None or (file.about or 0) > 10**7
            hub.add(file.repository, file.name, content, lfs=lfs)
        monkeypatch.setenv("HF_ENDPOINT", f"{hub.endpoint}/")
        huggingface_hub.close_session()
        yield hub
        huggingface_hub.close_session()


def download(*arguments: object) -> int:
    """Runs the download command in this process."""
    return runner.execute(
        command.main,
        command.define,
        name="download",
        summary=command.SUMMARY,
        common=command.COMMON,
        argv=[str(argument) for argument in arguments],
    )


def refused(capsys: pytest.CaptureFixture[str], *arguments: object, code: int) -> str:
    """What a download that must fail complains of: its errors, without warnings before it."""
    capsys.readouterr()
    assert download(*arguments) == code
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    warnings, _, error = printed.partition("error: ")
    assert all(line.startswith("warning: ") for line in warnings.splitlines()), warnings
    return error
