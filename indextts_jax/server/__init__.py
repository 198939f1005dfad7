"""The HTTP server: OpenAI's audio API over the live engine. FastAPI and uvicorn are the extra `serve`."""
