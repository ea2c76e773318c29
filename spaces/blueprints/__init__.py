"""Blueprints, and the documents that their instances make."""
