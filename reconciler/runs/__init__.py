"""The steps of runs, written to the store with all that follows from them."""
