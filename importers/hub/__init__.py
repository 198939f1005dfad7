"""The published files on the hub: manifest, check of a local directory, download."""
