"""One adapter per tool behind one small protocol."""
