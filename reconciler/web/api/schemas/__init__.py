"""The shapes of the API, one module for each topic."""
