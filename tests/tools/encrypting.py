"""Makes SOPS files, as people do: by the program, encrypted to age keys."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pyrage

from tests.needs import need


def age_key(file: Path) -> str:
    """Write a new age key into a file, and return its public half."""
    key = pyrage.x25519.Identity.generate()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"# a comment\n{key}\n")
    file.chmod(0o600)
    return str(key.to_public())


def encrypted(text: str, *recipients: str, form: str = "yaml") -> str:
    """Return a text encrypted by sops."""
    need("sops")
    command = [shutil.which("sops") or "sops", "--encrypt", "--age", ",".join(recipients)]
    command += ["--input-type", form, "--output-type", "json" if form == "binary" else form, "/dev/stdin"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=60).stdout
