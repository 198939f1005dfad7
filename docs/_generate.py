"""Writes what the pages take from other files: recorded results, and the list of public names.

    python docs/_generate.py           # writes
    python docs/_generate.py --check   # exit code 1 if a page is out of date

Each text stands between the lines `<!-- generated -->` and `<!-- /generated -->` of its page. Only
the standard library is used, and nothing of the package is imported.
"""

import ast
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
LIMITS = ROOT / "tools" / "gpu" / "limits.json"
SPEAKING = ("emotion_prototypes", "gpt", "semantic_codec", "length_regulator", "dit", "vocoder")
CARDS = (6, 8, 12, 24)  # GB of memory
SHARE = 0.75  # of it, that JAX takes
RESULTS = ROOT / "benchmarks" / "results"
START, END = "<!-- generated -->", "<!-- /generated -->"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def number(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def place(found: dict[str, Any]) -> str:
    """Date, versions and commit of a result, for the line below its table."""
    versions = ", ".join(f"{name} {found['versions'][name]}" for name in ("jax", "flax"))
    return f"{found['date']}; {versions}; commit {found['commit'][:7]}"


def compiled(target: str, results: Sequence[dict[str, Any]]) -> str:
    """What the compiler says about one GPU: a row for each stage and loop, old and new."""
    order = sorted(results, key=lambda found: found["date"])
    newest = order[-1]
    commits = list(dict.fromkeys(found["commit"][:7] for found in order))
    rows: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for found in order:
        for stage, of in found["stages"].items():
            own = found["shapes"]["fused_attention"]
            attention = "own kernels" if own or (own is None and stage == "flow") else "plain"
            for body in of.get("bodies", []):
                steps = body["trips"] or ("as many as there are codes" if body["loop"] else "once")
                key = (stage, found["shapes"]["dtype"], attention, str(steps))
                rows.setdefault(key, {})[found["commit"][:7]] = body
    columns: tuple[tuple[str, Callable[[dict[str, Any]], object]], ...] = (
        ("kernels", lambda body: body["kernels"]),
        ("MB", lambda body: number(body["bytes"] / 1e6)),
        ("floor, ms", lambda body: number(body["floor"] * 1e3)),
        ("estimate, ms", lambda body: number(body["seconds"] * 1e3)),
    )
    lines = [
        [
            *key,
            *(
                " → ".join(str(read(of[commit])) for commit in commits if commit in of)
                for _, read in columns
            ),
        ]
        for key, of in sorted(rows.items(), key=lambda pair: (found_at(pair[0][0]), pair[0]))
        if newest["commit"][:7] in of
    ]
    shapes = newest["shapes"]
    sizes = "small shapes" if shapes["small"] else "published sizes"
    header = ("stage", "dtype", "attention", "steps", *(name for name, _ in columns))
    earlier = f", earlier {' and '.join(commits[:-1])}" if len(commits) > 1 else ""
    about = (
        f"{place(newest)}{earlier}. {shapes['beams']} beams, "
        f"{shapes['text']} text tokens, {shapes['codes']} codes, "
        f"prompt {number(shapes['prompt'])} s, {shapes['steps']} steps of the flow."
    )
    return (
        f"### Compiled for {target.upper()}, not run: {sizes}\n\n"
        "Counted from compiled programs, for each step of a loop. Times are **estimates** from "
        f"bytes and operations; nothing was run.\n\n{table(header, lines)}\n\n{about}"
    )


def limits() -> str:
    """What the small shapes may compile to, as `tools.compile_for_gpu --small` checks it."""
    header = (
        "stage",
        "kernels of a step",
        "MB moved",
        "scratch, MB",
        "float32 convolutions",
        "waits",
    )
    names = ("kernels", "moved_mb", "scratch_mb", "float32_convolutions", "host_calls")
    found = json.loads(LIMITS.read_text("utf-8"))
    rows = [[case, *(one[name] for name in names)] for case, one in found.items()]
    return (
        "### Limits of what is compiled\n\n"
        "`python -m tools.compile_for_gpu --small` fails if a stage exceeds one. Moved: in "
        "transposes and concatenations of a megabyte or more, in a step; waits: for the host, in "
        f"loops. Compiled, not measured.\n\n{table(header, rows)}"
    )


def cards(found: dict[str, Any]) -> str:
    """How many segments a card can speak at once, in each dtype."""
    rows = []
    for dtype, of in found["dtypes"].items():
        parameters = sum(of["parameter_bytes"][name] for name in SPEAKING)
        largest = max(of["programs"].values())
        each = of["slot_bytes"] + largest
        fits = [max(0, int((SHARE * card * 1e9 - parameters) // each)) for card in CARDS]
        figures = (parameters, of["slot_bytes"], largest)
        rows.append([dtype, *(f"{size / 1e9:.2f}" for size in figures), *fits])
    header = (
        *("dtype", "parameters, GB", "KV cache of a segment, GB", "largest program, GB"),
        *(f"{card} GB" for card in CARDS),
    )
    return (
        "### Small cards\n\n"
        "How many segments of 10 s a card can speak at once (prompt of 15 s, 3 beams), the "
        "encoders released: three quarters of its memory, which JAX takes by default, less the "
        "parameters, divided by cache and largest program of a segment. It is what "
        "`--max_memory` counts (`python -m tools.check.card_memory`). From the compiler's "
        f"analysis, without scratch memory of cuDNN; nothing was run.\n\n{table(header, rows)}\n\n"
        f"{place(found)}; {found['note']}."
    )


def found_at(stage: str) -> int:
    """The place of a stage in the flow of data; unknown ones come last."""
    order = ("decode", "slots8", "latents", "flow", "vocoder")
    return order.index(stage) if stage in order else len(order)


def compared(name: str, found: dict[str, Any]) -> str:
    """An earlier commit against a later one."""
    rows = [
        [
            stage,
            f"{time['median']:.2f}",
            f"{min(time['ratios']):.2f} to {max(time['ratios']):.2f}",
            f"{statistics.median(time['old_to_old']):.2f}",
            f"{min(time['old_to_old']):.2f} to {max(time['old_to_old']):.2f}",
        ]
        for stage, time in found["times"].items()
    ]
    header = ("stage", "new to old, median", "range", "old to old, median", "range")
    earlier = found.get("earlier", found["commit"])[:7]
    return (
        f"### Against the earlier commit {earlier}\n\n"
        "Ratios of times on the tiny set, in turn; "
        "the ratios of old to old show how much times vary.\n\n"
        f"{table(header, rows)}\n\n"
        f"{name.split('_')[0]}; {name.split(earlier + '_')[-1].replace('_', ' ')}; "
        f"{found['pairs']} pairs; "
        f"{found['equal_samples']} of {found['utterances']} utterances with equal samples, "
        f"{found['equal_codes']} with equal codes."
    )


def beside(found: dict[str, Any]) -> str:
    """Both versions in turn, by stage."""
    rows = [
        [
            stage,
            *(f"{number(of[v]['median'])} ± {number(of[v]['spread'])}" for v in ("2.0", "2.5")),
            f"{of['ratio']:.2f}",
        ]
        for stage, of in found["stages"].items()
    ]
    said = "; ".join(
        f"{version}: {one['codes']} codes, {one['text_tokens']} text tokens"
        for version, one in found["spoken"].items()
    )
    audio, chosen = found["spoken"]["2.5"]["audio"], found["settings"]
    work = f"prompt of {number(chosen['prompt'])} s" if chosen["prompt"] else "the GPT alone"
    machine, dtype = found["machine"], found["dtype"]["2.5"]
    header = ("stage", "IndexTTS-2, s", "IndexTTS-2.5, s", "ratio")
    return (
        "### Both versions beside each other\n\n"
        f"In turn in one process, weights {found['weights']}, {dtype}, {work}, "
        f"{chosen['beams']} beams, for {number(audio)} s of audio ({said}). Medians of "
        f"{chosen['repeats']} rounds after a first one; the ratio is that within a round, "
        "IndexTTS-2 over IndexTTS-2.5.\n\n"
        f"{table(header, rows)}\n\n"
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']:.1f}: a busy "
        f"machine, so that only ratios mean something. {place(found)}."
    )


def beside_reference(found: dict[str, Any]) -> str:
    """What only version 2.5 has, in turn with the PyTorch reference."""
    rows = [
        [
            f"{stage}, {of['work']['codes']}",
            *(f"{number(of[s]['median'])} ± {number(of[s]['spread'])}" for s in ("theirs", "ours")),
            f"{of['ratio']:.2f}",
        ]
        for stage, of in found["stages"].items()
    ]
    machine = found["machine"]
    about = next(iter(found["stages"].values()))["about"]
    header = ("stage, codes", "reference, s", "this program, s", "ratio")
    return (
        "### IndexTTS-2.5 beside the PyTorch reference\n\n"
        f"The two networks whose work is not that of version 2, published sizes, random weights, "
        f"{about['dtype']}, {found['beams']} beams, in turn in two processes (`python -m "
        "benchmarks.versions_reference`). The other networks have the sizes of version 2, compared "
        f"above.\n\n{table(header, rows)}\n\n"
        f"{machine['processor']}, {machine['cores']} cores; torch {about['torch']}, transformers "
        f"{about['transformers']}. {place(found)}."
    )


def results() -> str:
    """A section for each kind of result that has a table, and a list of all files."""
    read = {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*.json"))
    }
    kinds = {
        name: found.get("kind") or ("compare_trees" if "pairs" in found else "unknown")
        for name, found in read.items()
    }
    sections = []
    groups: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for name, kind in kinds.items():
        # What a TPU's program has are no kernels: its result is described in words.
        gpu = kind == "compile_for_gpu" and not re.fullmatch(r"v\d\w", read[name]["target"])
        if gpu and "stages" in read[name]:
            group = read[name]["target"], not read[name]["shapes"]["small"]
            groups.setdefault(group, []).append(read[name])
    sections += [
        compiled(target, found)
        for (target, _), found in sorted(groups.items(), key=lambda pair: pair[0])
    ]
    memory = [name for name, kind in kinds.items() if kind == "device_memory"]
    sections += [cards(read[name]) for name in memory[-1:]]  # the newest
    sections.append(limits())
    sections += [compared(n, read[n]) for n, kind in kinds.items() if kind == "compare_trees"]
    sections += [beside(read[name]) for name, kind in kinds.items() if kind == "versions"]
    sections += [
        beside_reference(read[name]) for name, kind in kinds.items() if kind == "versions_reference"
    ]
    rows = [
        [f"`{name}.json`", kinds[name], found.get("device", "")] for name, found in read.items()
    ]
    files = table(("file", "kind", "device"), rows)
    return "\n\n".join([*filter(None, sections), f"### All files\n\n{files}"])


def homes() -> dict[str, str]:
    """The module of each public name, from `indextts_jax/__init__.pyi`."""
    stub = ast.parse((ROOT / "indextts_jax" / "__init__.pyi").read_text("utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {name.name: str(node.module) for node in imports for name in node.names}


def definition(module: str, name: str) -> ast.stmt | None:
    """Where a public name is defined: in the module that the stub names, or imported there."""
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node
        imported = isinstance(node, ast.ImportFrom) and name in {a.name for a in node.names}
        if imported and node.module and not node.level:
            return definition(node.module, name)
    return None


def names() -> str:
    """A table of the public names with the first sentence of their docstrings."""
    rows = []
    for name, module in sorted(homes().items()):
        node = definition(module, name)
        kind, text = "constant", ""
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            text = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
        elif isinstance(node, ast.Assign):
            text = f"`{ast.unparse(node.value)}`"
        rows.append([f"`{name}`", kind, text.replace("|", "\\|"), f"`{module}`"])
    return table(("name", "kind", "what it is", "module"), rows)


GENERATED: dict[str, Callable[[], str]] = {"performance.md": results, "reference.md": names}


def pages() -> Iterator[tuple[Path, str, str]]:
    """Each page with generated text: its path, its text as it is, and as it should be."""
    for name, make in GENERATED.items():
        path = DOCS / name
        now = path.read_text("utf-8")
        before, start, rest = now.partition(START)
        _, end, after = rest.partition(END)
        if not (start and end):
            raise SystemExit(f"error: {path} has no lines {START} and {END}")
        yield path, now, f"{before}{START}\n\n{make()}\n\n{END}{after}"


def main(words: Sequence[str]) -> int:
    """Writes the pages; with --check only says which are out of date."""
    if set(words) - {"--check"}:
        print(f"error: unexpected {' '.join(words)}; only --check is known", file=sys.stderr)
        return 2
    old = [(path, new) for path, now, new in pages() if now != new]
    for path, new in old:
        if "--check" not in words:
            path.write_text(new, "utf-8")
        print(f"{'out of date' if '--check' in words else 'wrote'}: {path.relative_to(ROOT)}")
    return 1 if old and "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
