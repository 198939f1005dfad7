"""Counts what XLA launches, in and outside of command buffers (CUDA graphs), from its own dump.

The dump is `*thunk_sequence_after_thunk_passes.txt`; nothing here needs JAX.
"""

import collections
import dataclasses
import re


@dataclasses.dataclass
class Launches:
    """Launches of one sequence of thunks: of the program, or of one loop iteration."""

    name: str
    kinds: collections.Counter[str]
    graphs: list[int]  # launches in each command buffer
    condition: int = 0
    whole: bool = False  # a loop that is part of a graph as a whole, with its condition
    branches: int = 0  # launches in the branches of conditionals: not all of them run

    @property
    def alone(self) -> int:
        """Launches outside of command buffers."""
        return sum(self.kinds.values()) - sum(self.graphs)


def launches(text: str) -> list[Launches]:
    """Of XLA's dump `thunk_sequence_after_thunk_passes.txt`."""
    found = [Launches("program", collections.Counter(), [])]
    stack: list[tuple[int, str, Launches]] = [(-1, "sequence", found[0])]
    for line in text.splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        word = line.split()[0]
        if word in ("condition:", "body:"):
            # `condition:` has no indentation of its own in the outermost loop.
            while len(stack) > 1 and stack[-1][1] != "while":
                stack.pop()
            loop = stack[-1][2]
            stack.append((indent, word[:-1], loop))
            continue
        if word.endswith("_branch:") or word.startswith("branch"):
            continue
        match = re.match(r"\s*(\d+): (k\w+)", line)
        if not match:
            continue
        while len(stack) > 1 and stack[-1][0] >= indent:
            stack.pop()
        kind = match[2]
        place = stack[-1][2]
        role = [entry[1] for entry in stack]
        if kind == "kWhile":
            # A loop may be a node of a graph as a whole: then all of it is in that one.
            whole = "graph" in role
            loop = Launches(
                f"loop {len(found)}", collections.Counter(), [0] if whole else [], whole=whole
            )
            found.append(loop)
            stack.append((indent, "while", loop))
        elif kind == "kCommandBuffer":
            place.graphs.append(0)
            stack.append((indent, "graph", place))
        elif kind in ("kConditional", "kSequential"):
            if kind == "kConditional":
                place.kinds[kind] += 1
                if "graph" in role:
                    place.graphs[-1] += 1
                stack.append((indent, "branch", place))
        elif "condition" in role[_loop(role) :]:
            place.condition += 1
        elif "branch" in role[_loop(role) :]:
            place.branches += 1
        else:
            place.kinds[kind] += 1
            if "graph" in role:
                place.graphs[-1] += 1
    return found


def _loop(role: list[str]) -> int:
    """Where the innermost loop begins."""
    return max((n for n, r in enumerate(role) if r == "while"), default=0)
