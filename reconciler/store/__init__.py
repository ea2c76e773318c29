"""The store: what the service remembers. Rows never leave this folder."""
