"""How networks run here: parameters on a device, compiled stages, kept executables."""
