"""A stack's effective configuration, and the policies that apply to it."""
