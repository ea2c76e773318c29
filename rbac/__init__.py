"""Who may do what, where, and which changes are admitted."""
