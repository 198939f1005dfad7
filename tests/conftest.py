"""What all tests share: exact products, compiled programs, and no silent skips in CI."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
# A folder in which compiled programs are kept between runs; without it they go with the run.
CACHE = "INDEXTTS_JAX_TEST_CACHE"

NO_EMITTERS = "--xla_cpu_use_fusion_emitters=false"

# What a test needs, by its folder: nothing compiled; networks against arrays, laws and the
# reference; whole commands, speech and processes. A test that is marked nightly is in no other.
UNIT = ("audio", "cli", "importers", "project", "text", "utils")
COMMANDS = ("benchmarks", "commands", "engine", "jobs", "planning", "robustness", "server", "tools")

# Files that compile most begin first; those on one line share programs, and so a process.
TOGETHER = (
    ("validation/test_stages.py", "validation/test_golden.py", "validation/test_loading.py"),
    (
        "commands/test_synth.py",
        "commands/test_replay.py",
        "commands/test_voice.py",
        "commands/test_dataset.py",
    ),
    (
        "engine/test_tts.py",
        "engine/test_parts.py",
        "engine/test_script.py",
        "training/test_learned_clips.py",
        "jobs/test_speaking.py",
    ),
    ("models/test_gpt.py",),
    ("sampling/test_beam.py",),
    ("commands/test_validate.py", "project/test_public.py"),
    ("planning/test_warmup.py", "planning/test_memory.py"),
    ("models/",),
    ("layers/",),
    ("sampling/",),
    ("engine/",),
    ("robustness/",),
    ("tools/", "benchmarks/"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Many tests compile the same programs: one folder for all workers."""
    for name in ("unit: of one function", "parity: of networks", "commands: of the whole"):
        config.addinivalue_line("markers", name)
    # Most of compiling is LLVM's costly passes and XLA's emitters of fusions by way of MLIR. The
    # default run leaves both out: the arithmetic is the same. The nightly run has them, and so has
    # the validation of the tiny set in `.ci/run`.
    quick = config.option.markexpr != "nightly"
    flags = os.environ.get("XLA_FLAGS", "")
    if quick and not hasattr(config, "workerinput") and _known(f"{flags} {NO_EMITTERS}"):
        os.environ["XLA_FLAGS"] = f"{flags} {NO_EMITTERS}"
    if not os.environ.get(CACHE):
        folder = tempfile.TemporaryDirectory(prefix="indextts_jax_tests_")
        config.add_cleanup(folder.cleanup)
        os.environ[CACHE] = folder.name
    kept = Path(os.environ[CACHE]) / ("quick" if quick else "optimized")
    os.environ["INDEXTTS_JAX_CACHE"] = str(kept)  # never the user's own
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(kept / "jax")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    config.option.loadscopereorder = False  # the order is that of `TOGETHER`
    import jax  # not before: it reads the environment once

    jax.config.update("jax_default_matmul_precision", "highest")
    jax.config.update("jax_disable_most_optimizations", quick)


def _known(flags: str) -> bool:
    """Whether this XLA knows its flags: another version may have dropped one, and would abort."""
    code, switches = "import jax; jax.devices()", os.environ | {"XLA_FLAGS": flags}
    return not subprocess.run(
        [sys.executable, "-c", code], env=switches, capture_output=True
    ).returncode


def _together(file: str) -> int:
    """The line of `TOGETHER` that names a file, or its folder."""
    lines = enumerate(TOGETHER)
    return next((n for n, names in lines if file.startswith(names)), len(TOGETHER))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test's group; and the heavy ones first."""
    for item in items:
        if item.get_closest_marker("nightly") is None:
            folder = item.path.relative_to(TESTS).parts[0]
            group = "unit" if folder in UNIT else "commands" if folder in COMMANDS else "parity"
            item.add_marker(group)
    items.sort(key=lambda item: _together(item.path.relative_to(TESTS).as_posix()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests run in one process, and so do those of the files of a line of `TOGETHER`."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            line = _together(file.removeprefix("tests/"))
            whole = line < len(TOGETHER) and not TOGETHER[line][0].endswith("/")
            return str(line) if whole else file

    return Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def _kept_programs() -> None:
    """Stages that one process compiled are loaded by the others, as by the commands of a user.

    A test that changes code which stages are traced from has to ask for `nothing_kept`.
    """
    from indextts_jax.runtime import cache_folder, executables

    executables.activate(cache_folder.cache_directory() / "compiled")


MOST_MAPPINGS = 30_000  # Linux allows a process 65,530


@pytest.fixture(scope="module", autouse=True)
def _drop_programs(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the nightly run: drops compiled programs after a file where the process has many.

    Each takes dozens of memory mappings, of which Linux allows a process a fixed number: with one
    more, XLA ends the process with a segmentation fault.
    """
    yield
    mappings = Path("/proc/self/maps")
    if request.config.option.markexpr != "nightly" or not mappings.is_file():
        return
    if len(mappings.read_bytes().splitlines()) < MOST_MAPPINGS:
        return
    import gc

    import jax

    from indextts_jax.runtime import executables

    jax.clear_caches()
    store = executables.active()
    executables.activate(store and store.folder)
    gc.collect()


@pytest.fixture(scope="module")
def nothing_kept() -> Iterator[None]:
    """Whatever is compiled is compiled here: for a file of tests that count programs.

    Of the module, as a fixture of the module would be set up before one of the function.
    """
    from indextts_jax.runtime import executables

    store = executables.active()
    executables.activate(None)
    yield
    executables.activate(store and store.folder)


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
