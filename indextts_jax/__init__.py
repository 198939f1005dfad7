"""IndexTTS-2 in JAX: zero-shot speech in a given voice, with a given emotion."""
