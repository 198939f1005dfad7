"""The HTTP server: the audio API of OpenAI over the live engine. Needs the extra `serve`."""
