"""What all tests share: exact products, compiled programs, and no silent skips in CI."""

import os
import tempfile

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
