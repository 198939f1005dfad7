"""The list of commands: `python -m indextts_jax`."""

import ast
import sys
from pathlib import Path

ORDER = (
    "download",
    "import",
    "show",
    "validate",
    "synth",
    "preview",
    "voice",
    "replay",
    "plan",
    "warmup",
    "prepare",
    "train",
    "export",
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
    """Prints the list of commands; an argument other than a request for help is an error."""
    listed = commands()
    width = max(map(len, listed))
    lines = [f"  {name:<{width}}  {does}" for name, does in listed.items()]
    text = "\n".join(
        [
            "IndexTTS-2 in JAX. Commands, each with --help:",
            "",
            *lines,
            "",
            "For instance: python -m indextts_jax.synth --demo --output demo.wav",
        ]
    )
    if not argv or argv[0] in ("-h", "-help", "--help", "help"):
        sys.stdout.write(text + "\n")
        return 0
    hint = f"write python -m indextts_jax.{argv[0]}" if argv[0] in listed else "see --help"
    sys.stderr.write(f"error: unexpected argument {argv[0]!r}; {hint}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
