"""From bytes to documents with positions."""
