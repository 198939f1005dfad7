"""Parts of `tools.gpu_check` and `tools.compile_for_gpu`."""
