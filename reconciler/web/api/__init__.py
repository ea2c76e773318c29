"""The routes under /api/v1, and the parts that they share: caller, errors, shapes, pages."""
