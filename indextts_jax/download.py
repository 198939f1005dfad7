"""`python -m indextts_jax.download`: fetches the published files, and checks them."""

from importers.hub import command
from indextts_jax import cli

if __name__ == "__main__":
    cli.run(
        command.main,
        command.define,
        name="download",
        summary=command.SUMMARY,
        common=command.COMMON,
        examples=command.EXAMPLES,
    )
