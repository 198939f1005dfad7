"""Instructions of XLA's optimised HLO, read from its text; nothing here needs JAX."""

import dataclasses
import functools
import math
import re

WIDTHS = {
    "pred": 1,
    "s4": 1,
    "u4": 1,
    "s8": 1,
    "u8": 1,
    "s16": 2,
    "u16": 2,
    "s32": 4,
    "u32": 4,
    "s64": 8,
    "u64": 8,
    "f16": 2,
    "bf16": 2,
    "f32": 4,
    "f64": 8,
    "c64": 8,
    "c128": 16,
    "token": 0,
    "opaque": 0,
    "key": 8,
}


@dataclasses.dataclass
class Instruction:
    """One line of a computation."""

    name: str
    shape: str
    opcode: str
    operands: list[str]
    attributes: str
    root: bool

    @functools.cached_property
    def arrays(self) -> list[tuple[str, tuple[int, ...]]]:
        """Element types and sizes of what comes out."""
        return shapes(self.shape)

    @property
    def size(self) -> int:
        """Bytes that come out; a library's scratch is not counted."""
        arrays = self.arrays
        if self.opcode == "custom-call" and len(arrays) > 1 and arrays[-1][0] in ("s8", "u8"):
            arrays = arrays[:-1]
        return sum(WIDTHS.get(kind, 4) * math.prod(dims) for kind, dims in arrays)

    def called(self, *keys: str) -> list[str]:
        """The computations that it calls by these attributes."""
        found = []
        for key in keys:
            for one, many in re.findall(
                rf"\b{key}=(?:%?([\w.\-]+)|\{{([^}}]*)\}})", self.attributes
            ):
                found += re.findall(r"[\w.\-]+", many) if many else [one]
        return found

    @property
    def target(self) -> str | None:
        """Of a custom call."""
        found = re.search(r'custom_call_target="([^"]*)"', self.attributes)
        return found[1] if found else None

    @property
    def pallas(self) -> bool:
        """Whether it is a Pallas kernel."""
        return (self.target or "").endswith("xla.gpu.triton")

    @property
    def in_place(self) -> list[int]:
        """The results of a custom call that reuse one of its operands."""
        found = re.search(r"output_to_operand_aliasing=\{(.*?\))\}", self.attributes)
        return [int(number) for number in re.findall(r"\{(\d+)\}: ", found[1])] if found else []


def shapes(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """`(f32[2,3]{1,0}, s32[])` as types and sizes."""
    found = re.findall(r"\b([a-z]+\d*(?:e\dm\d\w*)?)\[([\d,<=]*)\]", text)
    return [
        (k, tuple(int(re.sub(r"\D", "", d)) for d in dims.split(",") if d)) for k, dims in found
    ]


def _closing(text: str, start: int) -> int:
    """Where the bracket at `start` is closed."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] in "({") - (text[place] in ")}")
        if depth == 0:
            return place
    return len(text) - 1


def instruction(line: str) -> Instruction | None:
    """One line of a computation, or none if it is something else."""
    found = re.match(r"\s+(ROOT )?%?([\w.\-]+) = ", line)
    if not found:
        return None
    rest = line[found.end() :]
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    shape, rest = rest[:end], rest[end:].lstrip()
    opening = rest.index("(")
    close = _closing(rest, opening)
    inside = rest[opening + 1 : close]
    operands = re.findall(r"%([\w.\-]+)", inside)
    opcode = rest[:opening]
    attributes = rest[close + 1 :] + (f", number={inside}" if opcode == "parameter" else "")
    return Instruction(found[2], shape, opcode, operands, attributes, bool(found[1]))


def flops(one: Instruction, table: dict[str, Instruction]) -> float:
    """Two for each multiply-add of a product or a convolution."""
    out = math.prod(one.arrays[0][1]) if one.arrays else 0
    operand = [
        table[n].arrays[0][1] if n in table and table[n].arrays else () for n in one.operands
    ]
    if one.opcode == "dot":
        found = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", one.attributes)
        axes = [int(d) for d in found[1].split(",") if d] if found else []
        return 2.0 * out * math.prod(operand[0][d] for d in axes)
    if one.pallas and "attend_fused" in one.attributes:  # queries b f h k, keys b g h k
        return 4.0 * math.prod(operand[0]) * operand[1][1]
    if one.pallas and "attend_filled" in one.attributes:  # all entries of keys b h j k, for r beams
        return 4.0 * math.prod(operand[1]) * operand[5][1]
    if one.opcode == "custom-call" and (one.target or "").startswith("__cublas"):
        found = re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', one.attributes)
        axes = [int(d) for d in re.findall(r"\d+", found[1])] if found else []
        return 2.0 * out * math.prod(operand[0][d] for d in axes)
    if one.opcode == "convolution" or (one.target or "").startswith("__cudnn$conv"):
        found = re.search(r"dim_labels=\w+_(\w+)->", one.attributes)
        if not found or len(operand) < 2:
            return 0.0
        kernel, outputs = operand[1], found[1].index("o")
        strides = 1
        if "convBackwardInput" in (one.target or ""):  # a transposed one: counted by its input
            out = math.prod(operand[0])
            outputs = found[1].index("i")
        if lhs := re.search(r"lhs_dilate=([\dx]+)", one.attributes):
            strides = math.prod(int(d) for d in lhs[1].split("x"))
        return 2.0 * out * math.prod(kernel) / kernel[outputs] / strides
    return 0.0
