"""Audio files and the features computed from them; no models."""
