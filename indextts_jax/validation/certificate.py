"""The certificate of a validation: what was compared, on which device, and the results."""

import collections
import hashlib
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from indextts_jax.checkpoint.provenance import ComponentRecord
from indextts_jax.checkpoint.reading import Checkpoint
from indextts_jax.errors import InputError
from indextts_jax.runtime import devices
from indextts_jax.utils import hashing
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.strict_data import to_data
from indextts_jax.utils.text_table import table
from indextts_jax.validation.compare import ATOL, ONE_RUN_RTOL, RTOL, Comparison
from indextts_jax.validation.golden import Golden
from indextts_jax.validation.loading import DTYPE
from indextts_jax.validation.sources import SourceComparison

KIND, FORMAT = "indextts_jax validation certificate", 1
PACKAGES = ("indextts-jax", "jax", "jaxlib", "flax", "orbax-checkpoint", "numpy")
Certificate = dict[str, Any]


def certificate(
    rows: Sequence[Comparison],
    golden: Golden,
    saved: Checkpoint,
    *,
    device: jax.Device,
    left_out: Mapping[str, str],
    sources: SourceComparison | None,
    seconds: Mapping[str, float],
    component: str = "all",
    atol: float | None = None,
    rtol: float | None = None,
) -> Certificate:
    """All facts about a finished validation, ready for JSON."""
    record, about = saved.provenance, golden.about or {}
    failed = [row for row in rows if not row.passed]
    integers = [row for row in rows if row.exact]
    return {
        "kind": KIND,
        "format": FORMAT,
        "verdict": "fail" if failed or not rows else "pass",
        "complete": not left_out and component == "all",
        "created": hashing.now(),
        "component": component,
        "program": {
            "python": platform.python_version(),
            **{package: _version(package) for package in PACKAGES},
            "platform": platform.platform(),
            "device": devices.describe(device),
            "device_kind": device.device_kind,
            "compute_dtype": DTYPE,
            "matmul_precision": "highest",
        },
        "checkpoint": {
            "path": str(saved.path),
            "created": record.created,
            "stored_dtype": record.dtype,
            "ignored": list(record.ignored),
            "sources": [to_data(source) for source in record.sources],
            "components": {c.name: component_hash(c) for c in record.components},
        },
        "golden": {
            "path": str(golden.path),
            "files": {name: _file_hash(golden, name) for name in golden.recorded},
            **{
                key: about.get(key)
                for key in ("created", "versions", "platform", "device", "dtype", "sources")
            },
        },
        "same_sources": None if sources is None else not sources.other,
        "other_sources": list(sources.other) if sources else [],
        "limits": {
            "rms": RTOL if rtol is None else rtol,
            "largest": ATOL if atol is None else atol,
            "rms_of_one_run": ONE_RUN_RTOL if rtol is None else rtol,
        },
        "arrays": {
            "compared": len(rows),
            "passed": len(rows) - len(failed),
            "integers": len(integers),
            "integers_equal": sum(row.passed for row in integers),
        },
        "stages": _stages(rows, seconds),
        "not_recorded": dict(left_out),
        "worst_stage": worst(rows).stage if rows else None,
        "failures": [_array(row) | {"note": row.note} for row in failed],
    }


def worst(rows: Sequence[Comparison]) -> Comparison:
    """The array that uses the largest share of its tolerance."""
    return max(rows, key=lambda row: (not row.passed, row.of_limit))


def component_hash(record: ComponentRecord) -> str:
    """One SHA-256 for a component, of the names and hashes of its files."""
    lines = sorted(f"{file.sha256}  {file.name}\n" for file in record.files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_hash(golden: Golden, name: str) -> str:
    return hashing.hash_file(golden.path / "tensors" / f"{name}.npz").sha256


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _stages(rows: Sequence[Comparison], seconds: Mapping[str, float]) -> list[dict[str, Any]]:
    by_stage: dict[str, list[Comparison]] = collections.defaultdict(list)
    for row in rows:
        by_stage[row.stage].append(row)
    return [
        {
            "stage": stage,
            "arrays": len(held),
            "passed": sum(row.passed for row in held),
            "rms": _finite(max((row.rms for row in held if not row.exact), default=0.0)),
            "largest": _finite(max((row.largest for row in held if not row.exact), default=0.0)),
            "worst": _array(worst(held)),
            "seconds": round(seconds.get(stage, 0.0), 1),
        }
        for stage, held in by_stage.items()
    ]


def _array(row: Comparison) -> dict[str, Any]:
    if row.exact:
        return {"array": row.name, "share_equal": _finite(1 - row.rms)}
    return {"array": row.name, "rms": _finite(row.rms), "largest": _finite(row.largest)}


def _finite(number: float) -> float | None:
    """A number for JSON: None if it is not finite."""
    return float(number) if math.isfinite(number) else None


def summary(made: Certificate) -> str:
    """The certificate as text."""
    stages = [
        (
            entry["stage"],
            f"{entry['passed']} of {entry['arrays']}",
            _number(entry["rms"]),
            _number(entry["largest"]),
            f"{entry['seconds']:.1f}",
            entry["worst"]["array"].removeprefix(f"{entry['stage']}."),
        )
        for entry in made["stages"]
    ]
    stages += [(stage, reason, "", "", "", "") for stage, reason in made["not_recorded"].items()]
    header = ("stage", "arrays pass", "rms", "max", "seconds", "worst array")
    program, checkpoint, arrays = made["program"], made["checkpoint"], made["arrays"]
    versions = [f"{package} {program[package]}" for package in ("python", *PACKAGES)]
    facts = [
        ("verdict", _verdict(made)),
        ("worst stage", made["worst_stage"]),
        ("arrays", f"{arrays['passed']} of {arrays['compared']} pass"),
        ("integers", f"{arrays['integers_equal']} of {arrays['integers']} arrays equal"),
        ("checkpoint", f"{checkpoint['path']}, {checkpoint['stored_dtype']}"),
        *((f"  {name}", digest[:16]) for name, digest in checkpoint["components"].items()),
        ("sources", _sources(made)),
        ("reference", _reference(made["golden"])),
        ("program", ", ".join(versions)),
        ("computed in", f"{program['compute_dtype']} on {program['device']}"),
        ("platform", program["platform"]),
        ("date", made["created"]),
    ]
    width = max(len(name) for name, _ in facts)
    lines = [f"{name:<{width}}  {value}" for name, value in facts]
    return "\n".join([table(header, stages), "", *lines])


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1e}"


def _verdict(made: Certificate) -> str:
    word = made["verdict"].upper()
    if made["not_recorded"]:
        word += f" ({', '.join(made['not_recorded'])}: not compared)"
    elif not made["complete"]:
        word += f" (of {made['component']} alone)"
    return word


def _sources(made: Certificate) -> str:
    if made["same_sources"] is None:
        return "the golden directory does not name its source files"
    if made["other_sources"]:
        return f"NOT those of the golden directory: {', '.join(made['other_sources'])}"
    return "the golden directory was recorded from the same files (SHA-256)"


def _reference(golden: Mapping[str, Any]) -> str:
    if not golden["versions"]:
        return "versions not recorded"
    names = ("indextts2-inference", "indextts", "torch", "transformers")
    versions = [f"{n} {golden['versions'][n]}" for n in names if n in golden["versions"]]
    return f"{', '.join(versions)} on {golden['device']}, recorded {golden['created']}"


def check_writable(path: Path) -> None:
    """Checks that a certificate can be written to a path.

    Raises:
        InputError: if the path exists and is not a certificate, or cannot be written.
    """
    if os.path.lexists(path) and not _is_certificate(path):
        raise InputError(f"{path} exists and is not a certificate: it is not replaced")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a directory: cannot write the certificate there")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path.parent} cannot be written to")


def _is_certificate(path: Path) -> bool:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get("kind") == KIND


def write(path: Path, made: Certificate) -> None:
    """Writes a certificate atomically.

    Raises:
        InputError: if the path exists and is not a certificate.
    """
    check_writable(path)
    text = json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, (text + "\n").encode())
