"""Expressions in text, `${{ … }}`: found, checked, bounded and evaluated."""
