"""The sections of a model's configuration, one class for each component and version."""
