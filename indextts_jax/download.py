"""`python -m indextts_jax.download`: fetches the published files, and checks them."""

from importers.hub import command
from indextts_jax.cli import runner

if __name__ == "__main__":
    runner.run(
        command.main,
        command.define,
        name="download",
        summary=command.SUMMARY,
        common=command.COMMON,
        examples=command.EXAMPLES,
    )
