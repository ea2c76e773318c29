"""Finds secret values in text, in the forms in which they are printed, and replaces them."""
