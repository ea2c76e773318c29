"""`station doctor`: checks that everything a service needs is in place."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.output import print_data
from reconciler.cli.service_options import service_options


@click.command("doctor", context_settings=options.CONTEXT)
@options.common
@options.output
@service_options
@click.pass_context
def command(ctx: click.Context, /, form: str, **flags: Any) -> None:
    """Check the settings, data directory, database, keys, sandbox, tools, configuration repository and broker.

    Exit codes: 0 the service can work; 1 something keeps it from working.
    """
    settings = ctx.ensure_object(options.Common).settings(**flags)
    from reconciler.doctor import examine

    findings = list(examine(settings))
    if form in {"json", "yaml"}:
        print_data({"findings": [asdict(finding) for finding in findings]}, form)
    else:
        for finding in findings:
            click.echo(f"{finding.level:8} {finding.what:14} {finding.found}")
            if finding.advice:
                click.echo(f"{'':23} {finding.advice}")
    ctx.exit(1 if any(finding.level == "error" for finding in findings) else 0)
