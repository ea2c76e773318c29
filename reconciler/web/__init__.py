"""The HTTP API and what is served with it."""
