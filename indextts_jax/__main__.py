"""The list of commands: `python -m indextts_jax`."""

import ast
import difflib
import runpy
import sys
from pathlib import Path
from typing import NoReturn

ORDER = (
    "download",
    "import",
    "show",
    "validate",
    "synth",
    "serve",
    "preview",
    "voice",
    "replay",
    "plan",
    "warmup",
    "prepare",
    "train",
    "export",
    "align",
    "dataset",
)


def commands() -> dict[str, str]:
    """Each command with its summary, in the order in which a newcomer needs them.

    A command is a module whose docstring begins with its name. Modules are parsed, not imported:
    importing JAX takes seconds.
    """
    found = {}
    for path in Path(__file__).parent.glob("*.py"):
        first = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n")[0]
        mark = f"`python -m indextts_jax.{path.stem}`: "
        if first.startswith(mark):
            found[path.stem] = first.removeprefix(mark)
    known = [name for name in ORDER if name in found]
    return {name: found[name] for name in [*known, *sorted(set(found) - set(known))]}


def main(argv: list[str]) -> int:
    """Runs a command, or prints the list of commands.

    An argument other than a command or a request for help is an error.
    """
    if argv and argv[0] in (listed := commands()):
        sys.argv = [f"{sys.argv[0]} {argv[0]}", *argv[1:]]
        runpy.run_module(f"indextts_jax.{argv[0]}", run_name="__main__")
        return 0  # a command exits by itself
    listed = commands()
    width = max(map(len, listed))
    lines = [f"  {name:<{width}}  {does}" for name, does in listed.items()]
    text = "\n".join(
        [
            "IndexTTS-2 in JAX. Commands, each with --help (python -m indextts_jax.NAME, or\n"
            "indextts-jax NAME):",
            "",
            *lines,
            "",
            "For instance: python -m indextts_jax.synth --demo --output demo.wav",
        ]
    )
    if not argv or argv[0] in ("-h", "-help", "--help", "help"):
        sys.stdout.write(text + "\n")
        return 0
    near = difflib.get_close_matches(argv[0].removeprefix("indextts_jax."), listed, n=1)
    hint = f"did you mean {near[0]}?" if near else "see --help"
    sys.stderr.write(f"error: {argv[0]!r} is not a command; {hint}\n")
    return 2


def run() -> NoReturn:
    """The console command `indextts-jax`."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
