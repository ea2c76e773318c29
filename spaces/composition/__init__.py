"""What of some changed files can come into force: files composed document by document, tried until all works."""
