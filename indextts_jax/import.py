"""`python -m indextts_jax.import`: the published files to a checkpoint of this program."""

import jax

from importers import command
from indextts_jax.cli import runner

if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")  # nothing is computed, so no accelerator is claimed
    runner.run(
        command.main,
        command.define,
        name="import",
        summary=command.SUMMARY,
        common=command.COMMON,
        examples=command.EXAMPLES,
    )
