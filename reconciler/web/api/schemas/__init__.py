"""The shapes that the API speaks, one module per idea."""
