"""Policies in Rego: their inputs, and the process that evaluates them."""
