"""What differs between versions of IndexTTS, besides sizes and networks: one file each."""
