"""Masking: finds secret values in text, in the forms in which tools print them, and replaces them."""
