"""Which changes of a commit come into force."""
