"""What the tools take from this project where it is not installed, as beside the reference.

None of it needs JAX: only modules that run on the standard library alone may be named here.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from importers.release.locate import Located, locate, locate_config  # noqa: E402
from indextts_jax.errors import InputError  # noqa: E402
from indextts_jax.utils.atomic import put_in_place, staging  # noqa: E402

__all__ = ["ROOT", "InputError", "Located", "locate", "locate_config", "put_in_place", "staging"]
