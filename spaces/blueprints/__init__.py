"""Blueprints and what their instances make."""
