"""What runs may write to besides their own directories."""

import pytest

from reconciler.engine.local import LocalEngine
from reconciler.engine.preparing import WritableRefused


def test_what_a_run_writes_there_stays(driver, sandboxed, tmp_path):
    driver.engine.close()
    shared = tmp_path / "shared" / "deep"
    driver.engine = LocalEngine(driver.data_dir, sandbox=sandboxed, writable=[shared])
    driver.both(apply=f"echo made > {shared}/file")
    assert (shared / "file").read_text() == "made\n"


@pytest.mark.parametrize("sandboxed", [True], indirect=True)
def test_nothing_else_can_be_written(driver, tmp_path):
    beside = tmp_path / "beside"
    beside.mkdir()
    driver.both(apply=f"if echo made > {beside}/file; then exit 1; fi")
    assert not any(beside.iterdir())


@pytest.mark.parametrize("where", ["data", "data/runs", "."])
def test_the_data_directory_is_never_shared(tmp_path, where):
    with pytest.raises(WritableRefused, match="runs must not see"):
        LocalEngine(tmp_path / "data", writable=[tmp_path / where])
