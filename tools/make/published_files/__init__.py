"""Published files filled with random numbers, by manifests of names, shapes and dtypes."""
