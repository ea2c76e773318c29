"""Rules across documents, and the graph of stacks."""
