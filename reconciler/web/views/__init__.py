"""What the page shows, as plain values: worded, ordered and cut here, so that templates only lay out."""
