"""What a compiled program of XLA for GPUs does: kernels, bytes and multiply-adds, loop by loop.

Reads the text of an optimised HLO module (`compiled.as_text()`); nothing here needs JAX.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator

from tools.gpu.hlo_text import WIDTHS, Instruction, instruction
from tools.gpu.hlo_text import flops as flops_of

FREE = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "while",
    "conditional",
    "call",
    "opt-barrier",
    "partition-id",
    "replica-id",
    "copy-done",
    "async-done",
    "async-update",
    "add-dependency",
}
SLICES = {"dynamic-slice", "gather", "slice"}
HOST = re.compile(r"callback|infeed|outfeed|HostExecute|MoveToHost|\bsend\b|\brecv\b")


@dataclasses.dataclass
class Kernel:
    """Something that is launched."""

    name: str
    opcode: str
    target: str | None
    flops: float
    bytes: float
    written: float
    kinds: frozenset[str]  # of the products' inputs
    exact: bool  # float32 products with operand_precision highest
    work: frozenset[str]  # dot, convolution, sort, reduce, ...
    source: str


@dataclasses.dataclass
class Body:
    """A sequence of kernels: the program outside of its loops, or one loop iteration."""

    name: str
    trips: int | None  # None if only its condition ends it
    depth: int
    kernels: list[Kernel]
    condition: list[Kernel]
    branches: int  # conditionals

    def total(self, what: str) -> float:
        return sum(getattr(kernel, what) for kernel in self.kernels)


class Module:
    """A module of optimised HLO."""

    def __init__(self, text: str):
        self.text = text
        self.computations: dict[str, dict[str, Instruction]] = {}
        self.entry = ""
        current: dict[str, Instruction] | None = None
        for line in text.splitlines():
            if current is None or line.startswith(("%", "ENTRY")):
                found = re.match(r"(ENTRY )?%?([\w.\-]+) .*\{\s*$", line)
                if found and not line.startswith("HloModule"):
                    current = self.computations.setdefault(found[2], {})
                    if found[1]:
                        self.entry = found[2]
            elif line.startswith("}"):
                current = None
            elif (made := instruction(line)) is not None:
                current[made.name] = made

    @property
    def aliased(self) -> int:
        """The number of results that reuse a donated argument."""
        head = self.text.split("\n", 1)[0]
        found = re.search(r"input_output_alias=\{(.*?)\},? ?(?:entry_|alias_|buffer|$)", head)
        return found[1].count("alias") if found else head.count("-alias)")

    @property
    def targets(self) -> collections.Counter[str]:
        """Custom calls, and products that are Triton fusions."""
        count: collections.Counter[str] = collections.Counter()
        for computation in self.computations.values():
            for one in computation.values():
                if one.opcode == "custom-call" and one.target:
                    count[one.target] += 1
                if one.opcode == "fusion" and (
                    kind := re.search(r'"kind":"(__\w+)"', one.attributes)
                ):
                    count[kind[1]] += 1
        return count

    @property
    def host_calls(self) -> list[str]:
        """Instructions that go by way of the host."""
        return [
            f"{one.name} {one.target or one.opcode}"
            for computation in self.computations.values()
            for one in computation.values()
            if HOST.search(one.target or "") or HOST.search(one.opcode)
        ]

    def bodies(self) -> list[Body]:
        """The program outside of its loops, and its loops, in the order that they run."""
        found: list[Body] = []
        self._walk(self.entry, 1, 0, found)
        return found

    def _walk(self, name: str, trips: int | None, depth: int, found: list[Body]) -> Body:
        body = Body(name, trips, depth, [], [], 0)
        found.append(body)
        self._fill(name, body, depth, found)
        return body

    def _fill(self, name: str, body: Body, depth: int, found: list[Body]) -> None:
        table = self.computations[name]
        for one in table.values():
            if one.opcode == "while":
                trip = re.search(r'"known_trip_count":\{"n":"(\d+)"', one.attributes)
                (inside,), (test,) = one.called("body"), one.called("condition")
                loop = self._walk(inside, int(trip[1]) if trip else None, depth + 1, found)
                loop.condition = [
                    self.kernel(k, self.computations[test])
                    for k in self.computations[test].values()
                    if k.opcode not in FREE
                ]
            elif one.opcode == "conditional":
                body.branches += 1
                names = one.called("branch_computations") or one.called(
                    "true_computation", "false_computation"
                )
                parts = []
                for branch in names:  # the cheapest counts: the others run rarely
                    part = Body(branch, 1, depth, [], [], 0)
                    self._fill(branch, part, depth, [])
                    parts.append(part)
                body.kernels += min(parts, key=lambda p: p.total("bytes") + len(p.kernels)).kernels
            elif one.opcode == "call":
                self._fill(one.called("to_apply")[0], body, depth, found)
            elif one.opcode not in FREE and not (
                one.opcode == "custom-call" and (one.target or "") in ("Sharding", "AllocateBuffer")
            ):
                body.kernels.append(self.kernel(one, table))

    def kernel(self, one: Instruction, table: dict[str, Instruction]) -> Kernel:
        """What one launch does."""
        inner = list(self._inner(one, table))
        read, written = self._moved(one, table)
        kinds, exact = set(), True
        flops = 0.0
        for part, scope in inner:
            done = flops_of(part, scope)
            if done:
                flops += done
                kind = {scope[n].arrays[0][0] for n in part.operands[:2] if n in scope}
                kinds |= kind
                if kind == {"f32"} and not part.pallas:  # their PTX is searched for TF32
                    exact &= bool(
                        re.search(r'operand_precision(?:=\{highest|":\["HIGHEST)', part.attributes)
                    )
        work = {
            p.opcode
            for p, _ in inner
            if p.opcode
            in (
                "dot",
                "convolution",
                "sort",
                "reduce",
                "scatter",
                "gather",
                "dynamic-update-slice",
                "dynamic-slice",
                "transpose",
                "copy",
                "concatenate",
                "pad",
                "exponential",
                "rng-bit-generator",
                "topk",
            )
        }
        source = re.search(r'op_name="([^"]*)"', one.attributes)
        return Kernel(
            one.name,
            one.opcode,
            one.target,
            flops,
            read + written,
            written,
            frozenset(kinds),
            exact,
            frozenset(work),
            source[1] if source else "",
        )

    def _inner(
        self, one: Instruction, table: dict[str, Instruction]
    ) -> Iterator[tuple[Instruction, dict[str, Instruction]]]:
        yield one, table
        if one.opcode == "fusion":
            for name in one.called("calls"):
                scope = self.computations[name]
                for part in scope.values():
                    yield from self._inner(part, scope)

    def _moved(self, one: Instruction, table: dict[str, Instruction]) -> tuple[float, float]:
        """Bytes that are read and written: of an array that is sliced, the slice alone."""
        sizes = [table[name].size if name in table else 0 for name in one.operands]
        written = float(one.size)
        if one.opcode == "fusion":
            scope = self.computations[one.called("calls")[0]]
            parameters = {
                int(re.search(r"number=(\d+)", p.attributes)[1]): p
                for p in scope.values()
                if p.opcode == "parameter"
            }
            read = sum(
                self._read(parameters[n], scope) if n in parameters else size
                for n, size in enumerate(sizes)
            )
            written = float(sum(self._written(p, scope) for p in self._roots(scope)))
            return read, written
        if one.opcode == "dynamic-update-slice":
            return sizes[1], sizes[1]
        if one.opcode == "custom-call" and one.in_place:  # a few entries are written
            kept = [one.arrays[number] for number in one.in_place]
            written -= sum(WIDTHS.get(kind, 4) * math.prod(dims) for kind, dims in kept)
        if one.opcode in SLICES:
            return written, written
        return float(sum(sizes)), written

    def _roots(self, scope: dict[str, Instruction]) -> list[Instruction]:
        (root,) = [one for one in scope.values() if one.root] or [list(scope.values())[-1]]
        if root.opcode == "tuple":
            return [scope[name] for name in root.operands if name in scope]
        return [root]

    def _written(self, root: Instruction, scope: dict[str, Instruction]) -> float:
        while root.opcode in ("bitcast", "copy") and root.operands and root.operands[0] in scope:
            if scope[root.operands[0]].opcode != "dynamic-update-slice":
                break
            root = scope[root.operands[0]]
        if root.opcode == "dynamic-update-slice":
            return scope[root.operands[1]].size
        if root.opcode == "scatter":  # in place, too
            return scope[root.operands[-1]].size
        return root.size

    def _read(self, parameter: Instruction, scope: dict[str, Instruction]) -> float:
        total, waiting, seen = 0.0, [parameter.name], set()
        while waiting:
            name = waiting.pop()
            for user in scope.values():
                if name not in user.operands or user.name in seen:
                    continue
                if user.opcode in ("bitcast", "convert") and not user.root:
                    seen.add(user.name)
                    waiting.append(user.name)
                elif user.opcode in SLICES and user.operands[0] == name:
                    seen.add(user.name)
                    total += user.size
                elif (
                    user.opcode in ("dynamic-update-slice", "scatter") and user.operands[0] == name
                ):
                    continue  # in place
                else:
                    return parameter.size
        return min(total, parameter.size)
