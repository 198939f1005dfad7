"""IndexTTS-2 in JAX: zero-shot speech in a given voice, with a given emotion."""

import sys

if sys.argv[:1] == ["-m"] and any("indextts_jax." in word for word in sys.orig_argv):
    # One of our commands is starting: Python has yet to import everything else.
    from indextts_jax.interruption import end_while_starting

    end_while_starting()
