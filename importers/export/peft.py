"""An adapter in the format of the PEFT library, under the reference's module names."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from importers.export.unapply import made
from importers.formats.safetensors_writer import write_safetensors
from importers.release.files import CONTENTS
from importers.release.locate import LAYOUTS
from importers.rules import Rule
from importers.table import Row, Tensor, fills_of, flatten, identity
from indextts_jax.checkpoint.adapter import DOWN, UP, Adapter
from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.models.components import structure

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."  # PEFT's own, before the name of each module
# The network that PEFT wraps, by component, and where its names begin in the published file.
WRAPPED = {"gpt": ("UnifiedVoice", ""), "dit": ("CFM", "cfm.")}


@dataclasses.dataclass(frozen=True)
class Module:
    """A matrix of the reference: its name, and the import rule of its weight."""

    name: str
    rule: Rule


def write_peft(
    folder: Path, adapter: Adapter, config: ModelConfig, dtype: str | None = None
) -> None:
    """Writes an adapter of one component to an existing directory; `dtype` is for its factors.

    Raises:
        InputError: if it changes several components.
    """
    if len(adapter.trees) > 1:
        raise InputError(
            f"{adapter.path} changes {' and '.join(adapter.trees)}: PEFT has one per adapter"
        )
    ((component, tree),) = adapter.trees.items()
    modules = _modules(component, config)
    arrays: dict[str, Tensor] = {}
    targets: list[str] = []
    flat = flatten({component: tree})
    for path in adapter.record.paths:
        down, up = flat[f"{path}.{DOWN}"], flat[f"{path}.{UP}"]
        for layer, module in modules[path].items():
            targets.append(module.name)
            factors = {"lora_A": down[layer].T, "lora_B": _outputs(module.rule, up[layer])}
            for name, factor in factors.items():
                arrays[f"{PREFIX}{module.name}.{name}.weight"] = made(factor, dtype)
    write_safetensors(folder / WEIGHTS, arrays)
    settings = _settings(
        adapter,
        LAYOUTS[config.version].repository,
        component,
        targets,
        _fan_in_fan_out(modules, adapter.record.paths),
    )
    (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _outputs(rule: Rule, up: np.ndarray) -> np.ndarray:
    """The second factor, (out, rank), with its outputs in the order of the reference."""
    return up.T if rule is identity else rule.invert((up,), 1)[0]


def _modules(component: str, config: ModelConfig) -> dict[str, dict[tuple[int, ...], Module]]:
    """The reference's module of each kernel, by the kernel's path and the index in its stack."""
    expected = flatten({component: structure(component, config).expected})
    files = CONTENTS[config.version].files
    (file,) = (file for file in files.values() if component in file.components)
    prefix = WRAPPED[component][1]
    modules: dict[str, dict[tuple[int, ...], Module]] = {}
    for row in (row for row in file.rows(config) if isinstance(row, Row)):
        for fill in fills_of(row, expected, {}):
            if len(fill.targets) == 1 and isinstance(fill.transform, Rule):
                names = (sources[-1].removesuffix(".weight") for sources in fill.sources)
                modules[fill.targets[0]] = {
                    index: Module(name.removeprefix(prefix), fill.transform)
                    for index, name in zip(np.ndindex(*fill.stack), names, strict=True)
                }
    return modules


def _fan_in_fan_out(modules: Mapping[str, Any], paths: Any) -> bool:
    """Whether the reference stores these matrices as (in, out), a setting that PEFT needs."""
    return any(module.rule is identity for path in paths for module in modules[path].values())


def _settings(
    adapter: Adapter,
    repository: str,
    component: str,
    targets: list[str],
    fan_in_fan_out: bool,
) -> dict[str, Any]:
    """PEFT's settings; `base_model_name_or_path` is free text to it."""
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": f"{repository} ({WRAPPED[component][0]})",
        "r": adapter.record.rank,
        "lora_alpha": adapter.record.alpha,
        "lora_dropout": 0.0,
        "target_modules": targets,
        "fan_in_fan_out": fan_in_fan_out,
        "bias": "none",
        "inference_mode": True,
        "modules_to_save": None,
        "use_rslora": False,
    }
