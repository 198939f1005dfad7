"""Golden sets: what each stage of the reference computes, with the choices behind it."""
