"""Speech for the built-in voice, and its package."""
