from pathlib import Path

from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.processes.sandbox import Sandbox


def test_what_the_loader_reads_is_set_inside_of_the_sandbox_only(tmp_path: Path) -> None:
    prefix = Sandbox("bwrap", ()).prefix(RunDirectory(tmp_path), tmp_path / "work", (), {"LD_PRELOAD": "/x.so"})
    at = prefix.index("--setenv")
    assert prefix[at : at + 3] == ["--setenv", "LD_PRELOAD", "/x.so"]
    assert prefix[-1] == "--"
