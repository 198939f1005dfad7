"""What differs between versions of IndexTTS in training: one file each; see `runtime/versions`."""
