"""From a request to speech."""
