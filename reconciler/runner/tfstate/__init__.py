"""The tool's own state: relayed to the service, kept when it cannot be reached."""
