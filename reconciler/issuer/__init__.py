"""The issuer of run tokens: its keys, the documents that it publishes, and the tokens that it signs."""
