"""The HTTP server: the API, health and metrics."""
