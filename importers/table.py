"""The import engine: rows say where each array goes, drops which arrays are omitted and why.

    TABLE = [
        Row("blocks.qkv.kernel", "gpt.h.{layer}.attn.c_attn.weight"),  # {layer} is stacked
        Row("ups.{i}.kernel", weight_norm("ups.{i}.0"), conv_transpose1d),
        Row(("k.kernel", "v.kernel"), "to_kv.weight", split_linear(2)),
        Drop("text_head.weight", "inference has no use for the text head"),
    ]

`{name}` stands for a number, `{name+1}` for that number plus one. A placeholder on both sides means
one array for each value; on the source side alone, the arrays are stacked on a leading axis, as
many as the target's leading axis has. Dots in a target separate the keys of the parameter tree.
"""

import dataclasses
import difflib
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from importers.rules import inverted_by
from indextts_jax.errors import InputError, gathered

Tree = dict[Any, Any]

GROUPED = 20  # unexpected arrays with the same first word, from which on they are one problem
HINTED = 30  # most missing arrays with a hint: for a completely wrong file hints are useless


class Tensor(Protocol):
    """A named array of a source file, read on demand."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in the file."""

    @property
    def dtype(self) -> np.dtype:
        """Its dtype in the file (bfloat16 from `ml_dtypes`)."""

    def read(self) -> np.ndarray:
        """The values, memory-mapped where the file allows."""


@inverted_by(lambda array: array)
def identity(array: Any) -> Any:
    """The array unchanged."""
    return array


@dataclasses.dataclass(frozen=True)
class AnyOf:
    """Alternative names of one source, of which a file has exactly one."""

    options: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """Where one kind of array goes: sources, through the transform, to targets.

    The transform takes the source arrays as arguments and returns one array, or a tuple with one
    for each target. It uses array methods or `__array_namespace__` only, so that it also runs on
    abstract shapes. A `Rule` also has an inverse, which export needs.
    """

    target: str | tuple[str, ...]
    source: str | tuple[str, ...] | AnyOf
    transform: Callable[..., Any] = identity


@dataclasses.dataclass(frozen=True)
class Drop:
    """One kind of array that is not imported, and why.

    With `same_as`, the array must equal that other array of the file.
    """

    source: str
    reason: str
    same_as: str | None = None


class ImportMismatch(InputError):
    """All problems of an import."""

    def __init__(self, file: str, problems: Sequence[str]):
        self.file = file
        self.problems = tuple(problems)
        super().__init__(gathered(f"importing {file}", problems))


@dataclasses.dataclass(frozen=True)
class Fill:
    """One target array (or several from one source) and the sources of its slices, in order."""

    targets: tuple[str, ...]
    stack: tuple[int, ...]  # shape of the stacked leading axes
    sources: tuple[tuple[str, ...], ...]  # one tuple for each stacked slice
    transform: Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A table fully resolved against the names and shapes of a file and a model."""

    fills: tuple[Fill, ...]
    read: tuple[str, ...]
    dropped: dict[str, str]  # name -> reason
    copies: dict[str, str]  # dropped name -> name of the array that it must equal
    ignored: tuple[str, ...]


_PLACEHOLDER = re.compile(r"\{(\w+)(?:\+(\d+))?\}")


def _regex(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression with one group for each placeholder."""
    parts, position = [], 0
    for match in _PLACEHOLDER.finditer(pattern):
        parts += [re.escape(pattern[position : match.start()]), "([0-9]{1,9})"]
        position = match.end()
    return re.compile("".join([*parts, re.escape(pattern[position:])]))


def _names(pattern: str) -> list[str]:
    """The placeholders of a pattern, each once, in order."""
    return list(dict.fromkeys(m.group(1) for m in _PLACEHOLDER.finditer(pattern)))


def _render(pattern: str, indices: Mapping[str, int]) -> str:
    return _PLACEHOLDER.sub(lambda m: str(indices[m.group(1)] + int(m.group(2) or 0)), pattern)


def _matches(pattern: str, names: Sequence[str]) -> Iterator[dict[str, int]]:
    """Bindings of the placeholders for every name that the pattern matches."""
    regex, slots = _regex(pattern), [m.groups() for m in _PLACEHOLDER.finditer(pattern)]
    for name in names:
        if match := regex.fullmatch(name):
            found = [
                int(text) - int(plus or 0)
                for text, (_, plus) in zip(match.groups(), slots, strict=True)
            ]
            indices = dict(zip((slot for slot, _ in slots), found, strict=True))
            # a repeated placeholder must have one value, and values are not negative
            if _render(pattern, indices) == name and min(found, default=0) >= 0:
                yield indices


def matching(pattern: str, names: Sequence[str]) -> list[str]:
    """The names that match a pattern with placeholders."""
    return [_render(pattern, indices) for indices in _matches(pattern, names)]


def flatten(tree: Tree, prefix: str = "") -> dict[str, Any]:
    """A nested dict flattened to dotted paths."""
    flat = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        flat.update(flatten(value, f"{path}.") if isinstance(value, dict) else {path: value})
    return flat


def nested_like(tree: Tree, flat: Mapping[str, Any], prefix: str = "") -> Tree:
    """Values by dotted path, nested like `tree` and with its keys."""
    return {
        key: nested_like(value, flat, f"{prefix}{key}.")
        if isinstance(value, dict)
        else flat[f"{prefix}{key}"]
        for key, value in tree.items()
    }


def nearest(name: str, names: Sequence[str]) -> str:
    """A hint naming the most similar name, or an empty string."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    return f" (nearest: {close[0]})" if close else ""


def passed_over(name: str, ignore: Sequence[str]) -> bool:
    """Whether --ignore names an array: exactly, or by a prefix that ends in a dot."""
    return any(name == word or (word.endswith(".") and name.startswith(word)) for word in ignore)


def _groups(names: Sequence[str]) -> dict[str, list[str]]:
    """Names by their first word, with its dot."""
    groups: dict[str, list[str]] = {}
    for name in names:
        word, dot, _ = name.partition(".")
        groups.setdefault(word + dot, []).append(name)
    return groups


def _options(row: Row) -> tuple[tuple[str, ...], ...]:
    if isinstance(row.source, AnyOf):
        return row.source.options
    return ((row.source,) if isinstance(row.source, str) else row.source,)


def _choose(row: Row, indices: Mapping[str, int], names: Mapping[str, Any]) -> list[str]:
    """The sources under the alternative names that the file has, else the most likely ones."""
    rendered = [[_render(p, indices) for p in option] for option in _options(row)]
    held = [sum(name in names for name in option) for option in rendered]
    return rendered[held.index(max(held))]


def fills_of(row: Row, shapes: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[Fill]:
    """The fills of a row; `shapes` are those of the model's parameters by dotted path.

    Of alternative source names, the alternative most present in `names` is used, else the first.
    """
    targets = (row.target,) if isinstance(row.target, str) else row.target
    for bound in _matches(targets[0], list(shapes)):
        paths = tuple(_render(t, bound) for t in targets)
        free = [n for n in _names(" ".join(_options(row)[0])) if n not in bound]
        stack = tuple(shapes[paths[0]].shape[: len(free)])
        slices = tuple(
            tuple(_choose(row, bound | dict(zip(free, index, strict=True)), names))
            for index in itertools.product(*(range(n) for n in stack))
        )
        yield Fill(paths, stack, slices, row.transform)


def plan(
    table: Sequence[Row | Drop],
    tensors: Mapping[str, Tensor],
    expected: Tree,
    *,
    file: str,
    ignore: Sequence[str] = (),
) -> Plan:
    """Resolves a table, without reading values: uses each source and fills each parameter once.

    Raises:
        ImportMismatch: with every array that is missing, unexpected, used twice or of the wrong
            shape.
    """
    shapes = flatten(expected)
    problems: list[str] = []
    fills: list[Fill] = []
    filled: dict[str, Row] = {}
    used: dict[str, str] = {}
    missing: dict[str, str] = {}
    ignored = tuple(name for name in tensors if passed_over(name, ignore))
    present = {name: t for name, t in tensors.items() if name not in ignored}

    for row in (r for r in table if isinstance(r, Row)):
        for fill in fills_of(row, shapes, present):
            absent = [p for p in fill.targets if p not in shapes]
            if absent:
                problems.append(f"the model has no parameter {', '.join(absent)}")
                continue
            first = fill.targets[0]
            for name in (name for sources in fill.sources for name in sources):
                if name not in present:
                    missing.setdefault(name, first)
                elif name in used:
                    problems.append(f"used twice: {name} (for {used[name]} and {first})")
                used[name] = first
            for path in fill.targets:
                if path in filled:
                    problems.append(f"filled twice: {path}")
                filled[path] = row
            fills.append(fill)

    rest = [name for name in present if name not in used]
    dropped, copies = {}, {}
    for drop in (d for d in table if isinstance(d, Drop)):
        for indices in _matches(drop.source, rest):
            name = _render(drop.source, indices)
            dropped[name] = drop.reason
            if drop.same_as is not None:
                copies[name] = _render(drop.same_as, indices)
    unexpected = [name for name in rest if name not in dropped]

    problems += [
        f"missing: {name} (for {target}){nearest(name, unexpected if i < HINTED else ())}"
        for i, (name, target) in enumerate(missing.items())
    ]
    for prefix, names in _groups(unexpected).items():
        if len(names) > GROUPED:
            problems.append(
                f"unexpected: {len(names)} arrays under {prefix}, such as {names[0]} "
                f"{tensors[names[0]].shape}; --ignore {prefix} passes them over"
            )
        else:
            problems += [
                f"unexpected: {name} {tensors[name].shape}{nearest(name, list(missing)[:HINTED])}"
                for name in names
            ]
    problems += [f"not filled: {p} {tuple(shapes[p].shape)}" for p in shapes if p not in filled]
    problems += [
        f"{name} is a copy of {other}, which is not in the file"
        for name, other in copies.items()
        if other not in tensors
    ]
    problems += [problem for fill in fills for problem in _misshapen(fill, present, shapes)]
    if problems:
        raise ImportMismatch(file, problems)
    return Plan(tuple(fills), tuple(used), dropped, copies, ignored)


def _misshapen(
    fill: Fill, tensors: Mapping[str, Tensor], shapes: Mapping[str, Any]
) -> Iterator[str]:
    """Which slices of a fill do not have the shape, or the kind, that the model expects."""
    for sources in fill.sources:
        if any(name not in tensors for name in sources):
            continue  # reported as missing
        given = [tensors[name] for name in sources]
        for name, tensor in zip(sources, given, strict=True):
            if not np.issubdtype(tensor.dtype, np.floating) and tensor.dtype.name != "bfloat16":
                yield f"dtype of {name}: checkpoint {tensor.dtype}, expected floating point"
        named = ", ".join(f"{n} {t.shape}" for n, t in zip(sources, given, strict=True))
        try:
            parts = _transformed(fill.transform, tuple(t.shape for t in given))
        except (TypeError, ValueError, IndexError) as error:
            yield f"shape of {fill.targets[0]}: {named} cannot be transformed ({error})"
            continue
        for target, part in zip(fill.targets, parts, strict=True):
            want = tuple(shapes[target].shape)
            if (*fill.stack, *part) != want:
                parted = want[len(fill.stack) :] if want[: len(fill.stack)] == fill.stack else want
                yield f"shape of {target}: checkpoint {part} from {named}, model {parted}"


@functools.lru_cache(maxsize=4096)
def _transformed(
    transform: Callable[..., Any], shapes: tuple[tuple[int, ...], ...]
) -> tuple[tuple[int, ...], ...]:
    """The shapes that a transform gives for arrays of these shapes."""
    if transform is identity:
        return shapes
    out = jax.eval_shape(transform, *(jax.ShapeDtypeStruct(s, np.float32) for s in shapes))
    return tuple(part.shape for part in (out if isinstance(out, tuple) else (out,)))


def read(
    plan: Plan,
    tensors: Mapping[str, Tensor],
    expected: Tree,
    *,
    file: str,
    progress: Callable[[int], None] = lambda count: None,
) -> Tree:
    """Carries out a plan: the parameter tree, in the dtypes of `expected`.

    `progress` is called after each source array with the number read so far.

    Raises:
        ImportMismatch: with every array with NaN or infinity (before or after the cast to the
            expected dtype), and every copy that differs.
    """
    shapes = flatten(expected)
    flat: dict[str, np.ndarray] = {}
    problems: list[str] = []
    for fill in plan.fills:
        outputs = [np.empty(shapes[t].shape, shapes[t].dtype) for t in fill.targets]
        for index, sources in zip(np.ndindex(*fill.stack), fill.sources, strict=True):
            arrays = [np.asarray(tensors[name].read()) for name in sources]
            result = fill.transform(*arrays)
            for output, part in zip(
                outputs, result if isinstance(result, tuple) else (result,), strict=True
            ):
                with np.errstate(over="ignore", invalid="ignore"):
                    output[index] = part
                if not np.isfinite(output[index]).all():
                    problems.append(
                        f"not finite: {', '.join(sources)}"
                        + (f" (as {output.dtype})" if np.isfinite(part).all() else "")
                    )
            progress(len(sources))
        flat.update(zip(fill.targets, outputs, strict=True))
    problems += [
        f"{name} should be a copy of {other}, but differs"
        for name, other in plan.copies.items()
        if not np.array_equal(tensors[name].read(), tensors[other].read())
    ]
    if problems:
        raise ImportMismatch(file, problems)
    return nested_like(expected, flat)


def apply(
    table: Sequence[Row | Drop],
    tensors: Mapping[str, Tensor],
    expected: Tree,
    *,
    file: str,
    ignore: Sequence[str] = (),
) -> Tree:
    """`plan`, then `read`: the parameter tree of one component from one file."""
    return read(
        plan(table, tensors, expected, file=file, ignore=ignore), tensors, expected, file=file
    )
