"""The environment that tools see: little is inherited, the rest is the job's, with a home of the run's own."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.runner.directory import RunDirectory
from reconciler.runner.job import Job

_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
INHERITED = frozenset(
    ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", *_CERTIFICATES, *_PROXIES, *(name.upper() for name in _PROXIES))
)
"""Nothing else of the service's environment reaches a run."""


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Pick what a run may inherit."""
    return {name: value for name, value in environ.items() if name in INHERITED}


def tool_environment(job: Job, directory: RunDirectory, environ: Mapping[str, str], temporary: str) -> dict[str, str]:
    """Make the environment of every command of a run; the job may set anything but the last five."""
    return {
        **inherited(environ),
        **job.env,
        "HOME": str(directory.home),
        "TMPDIR": temporary,
        "STATION_STACK": job.stack,
        "STATION_RUN": job.run,
        "STATION_OUTPUTS": str(directory.outputs),
    }
