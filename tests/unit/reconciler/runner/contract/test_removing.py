from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.runner.contract.removing import remove


def test_a_directory_that_somebody_else_removes_at_the_same_time_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "work"
    directory.mkdir()

    def unlink(path: Path) -> None:
        path.rmdir()
        raise IsADirectoryError(path)

    monkeypatch.setattr(Path, "unlink", unlink)
    remove(directory)
    assert not directory.exists()
