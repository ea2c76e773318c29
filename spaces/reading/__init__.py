"""Reading: from bytes to documents with positions."""
