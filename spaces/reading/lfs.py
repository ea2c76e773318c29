"""Pointers of Git LFS: small files that stand for content on another server, and are never that content."""

from __future__ import annotations

LARGEST_POINTER = 1024
"""Bytes: whatever is as large as this is no pointer."""
POINTER = (
    "is a Git LFS pointer, and the content that it stands for is not fetched: "
    "commit the file itself (git lfs migrate export)"
)
_BEGINS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")


def is_pointer(content: bytes) -> bool:
    """Whether a file's content only names a file on a Git LFS server."""
    return content.startswith(_BEGINS) and len(content) < LARGEST_POINTER and b"\noid " in content
