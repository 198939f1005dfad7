"""How networks run: parameters on a device, compiled stages, stored executables."""
