"""Tools that pip does not install. A test without its tool is skipped; the end of the run says how to get the tool.

Tests call `need` in a fixture or helper, or carry the mark that `needs` returns. `make check` runs this module to
list the missing tools. Nothing here installs anything.
"""

from __future__ import annotations

import functools
import shutil
import sys
from pathlib import Path

import pytest

from reconciler.runner.processes.sandbox import probe

HOW = {
    "ansible-playbook": "pip install ansible-core, in the environment that runs the tests",
    "bwrap": "apt install bubblewrap",
    "chromium": "apt install chromium",
    "etcd": "make tools",
    "git": "apt install git",
    "gpg": "apt install gnupg",
    "helm": "make tools",
    "kube-apiserver": "make tools",
    "kube-controller-manager": "make tools",
    "kubectl": "make tools",
    "prometheus": "apt install prometheus",
    "promtool": "apt install prometheus",
    "sops": "make tools",
    "ssh": "apt install openssh-client",
    "ssh-keygen": "apt install openssh-client",
    "terraform": "download it from https://developer.hashicorp.com/terraform/install",
    "pulumi": "make tools",
    "rabbitmq-server": "apt install rabbitmq-server",
    "redis-server": "apt install redis-server",
    "terragrunt": "make tools",
    "tofu": "make tools",
}
"""How to get each tool."""


@functools.cache
def missing(tool: str) -> str | None:
    """Return why the tool cannot be used here and how to get it; None if it can."""
    beside = Path(sys.executable).with_name(tool)
    if shutil.which(tool) is None and not beside.exists():
        return f"{tool} is not installed ({HOW[tool]})"
    if tool == "bwrap" and (problem := probe("bwrap")):
        return f"bwrap is installed but does not work here: {problem} (are unprivileged user namespaces allowed?)"
    return None


def need(*tools: str) -> None:
    """Skip the running test if one of the tools is missing."""
    for tool in tools:
        if why := missing(tool):
            pytest.skip(why)


def needs(*tools: str) -> pytest.MarkDecorator:
    """Return a mark that skips tests if one of the tools is missing."""
    why = next(filter(None, map(missing, tools)), None)
    return pytest.mark.skipif(why is not None, reason=why or "")


if __name__ == "__main__":
    for line in filter(None, map(missing, HOW)):
        print(f"Not tested on this machine: {line}")  # noqa: T201
