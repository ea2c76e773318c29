"""Where runners run."""
