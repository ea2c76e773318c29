"""Access: who may do which action in which space."""
