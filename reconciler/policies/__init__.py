"""Policies in Rego: what they are asked, and the process in which they are."""
