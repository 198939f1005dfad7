"""What `--max_memory` counts on a GPU that is not there: its programs, compiled for a card.

    python -m tools.check.card_memory --dtype bfloat16 --batch 8

Compiles every program of a batch at published sizes, which takes minutes, and prints what
`indextts_jax.planning.memory` makes of them: the peak, and how many segments cards of several sizes
can speak at once. Needs what `tools.compile_for_gpu` needs. The last line is the same as JSON: the
table of small cards in `docs/performance.md` is made from such figures.
"""

import argparse
import json
import os
import sys
from typing import Any

from tools.compile_for_gpu import lacking

CARDS = (6, 8, 12, 24)  # GB
SHARE = 0.75  # of it, that JAX takes


def measured(dtype: str, batch: int, codes: int, target: str) -> dict[str, Any]:
    """Bytes by program of a batch, and the peak."""
    # Not at the top: JAX must find its environment prepared.
    import jax

    from indextts_jax.engine.settings import Settings
    from indextts_jax.models.components import SPEAKING
    from indextts_jax.planning import memory
    from indextts_jax.planning.dry_run import DryRunModel, needed
    from indextts_jax.runtime import executables
    from indextts_jax.runtime.model import compiled
    from indextts_jax.runtime.versions.registry import version_of
    from indextts_jax.sampling.settings import SamplingConfig
    from tools.gpu.devices import target_device
    from tools.gpu.lowering import Lowering, Shapes
    from tools.make.full_size import TOKENIZER

    lowering = Lowering(Shapes(dtype=dtype, codes=codes), target_device(target))

    class Card(DryRunModel):
        """A dry run whose programs are compiled for the card; its zeros are on the CPU."""

        @property
        def device(self) -> jax.Device:
            return jax.devices("cpu")[0]

        def stage(self, component: str, function: Any, **static: Any) -> Any:
            return compiled(
                self.config,
                component,
                function,
                fused_attention=lowering.fused(component),
                platform=lowering.device.platform,
                **static,
            )

        def _compile(
            self, stage: Any, component: str, function: Any, arguments: Any, static: Any
        ) -> tuple[Any, int]:
            lowered = stage.lower(*lowering.there(arguments))
            size = needed(executables.memory_of(lowered.compile()))
            name = function if isinstance(function, str) else function.__name__
            print(f"{component} {name}: {size / 1e6:.0f} MB", file=sys.stderr, flush=True)
            return lowered.out_info, size

    params = {name: lowering.params(name) for name in SPEAKING}
    tokenizer = version_of(lowering.config).tokenizer(TOKENIZER.read_bytes())
    model = Card(lowering.config, params, tokenizer, run=lowering.run)
    sampling = SamplingConfig(beams=lowering.shapes.beams)
    chosen = Settings(batch=batch, max_codes=codes, steps=25, sampling=sampling)
    need = memory.speaking_need(model, chosen)
    each = need.program / batch
    return {
        "dtype": dtype,
        "batch": batch,
        "parameters": need.parameters,
        "programs": model.needs,
        "largest": need.largest,
        "peak": need.total,
        "segments": {
            card: max(0, int((SHARE * card * 1e9 - need.parameters) // each)) for card in CARDS
        },
    }


def main() -> int:
    """Runs the command; 2 if a package is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.check.card_memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--target", default="rtx4090", help="a card (by default rtx4090)")
    parser.add_argument("--dtype", default="float32", help="float32, bfloat16, float16 or int8")
    parser.add_argument("--batch", type=int, default=8, help="segments at once (by default 8)")
    parser.add_argument("--codes", type=int, default=500, help="of a segment (by default 500)")
    args = parser.parse_args()
    if (why := lacking(args.target)) is not None:
        print(f"error: {why}", file=sys.stderr)
        return 2
    os.environ["JAX_PLATFORMS"] = "cpu"  # nothing looks for a GPU
    flags = "--xla_gpu_autotune_level=0"  # timing forms against each other takes a device
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    found = measured(args.dtype, args.batch, args.codes, args.target)
    print(f"peak {found['peak'] / 1e9:.2f} GB, of it {found['parameters'] / 1e9:.2f} of parameters")
    print(", ".join(f"{card} GB: {count} segments" for card, count in found["segments"].items()))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
