"""What all tests share: exact products, compiled programs, and no silent skips in CI."""

import os
import socket
import sys
import tempfile
from typing import Any

import pytest

CACHE = "JAX_COMPILATION_CACHE_DIR"


def pytest_configure(config: pytest.Config) -> None:
    """Many tests compile the same programs: one folder for all workers, gone after the run."""
    if CACHE not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="indextts_jax_tests_")
        config.add_cleanup(folder.cleanup)
        os.environ[CACHE] = folder.name
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    import jax  # not before: it reads the environment once

    jax.config.update("jax_default_matmul_precision", "highest")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever tries to reach another machine, or to load what downloads, fails the test."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in _OURSELVES:
            raise AssertionError(f"this must not use the network: {address}")
        connect(self, address)

    def look_up(host: Any, *more: Any, **options: Any) -> None:
        raise AssertionError(f"this must not look up {host}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    for package in ("huggingface_hub", "httpx", "httpx2", "requests", "urllib3"):
        monkeypatch.setitem(sys.modules, package, None)


_OURSELVES = ("127.0.0.1", "::1")  # event loops talk to themselves, on Windows

# With this set, a test that was skipped for want of torch or transformers fails the run.
REQUIRE_TORCH = "INDEXTTS_JAX_REQUIRE_TORCH"
_missing: list[str] = []


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = str(report.longrepr)
    if report.skipped and ("torch" in reason or "transformers" in reason):
        _missing.append(f"{report.nodeid}: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get(REQUIRE_TORCH) and _missing:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get(REQUIRE_TORCH) and _missing:
        terminalreporter.section("skipped, but torch is required here")
        for line in _missing:
            terminalreporter.write_line(line)
