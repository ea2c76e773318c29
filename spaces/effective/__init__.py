"""A stack's effective configuration and the policies that cover it."""
