"""The routes under /api/v1, thin, and what they share: caller, errors, shapes, pages."""
