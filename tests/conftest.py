"""What all tests share: exact products, one seed for hypothesis, and no silent skips in CI."""

import os

import jax
import pytest

jax.config.update("jax_default_matmul_precision", "highest")

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
