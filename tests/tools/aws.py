"""A server on loopback that answers as CloudFormation and S3 do (moto), for tests."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import botocore.session

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-secret"}
REGION = "eu-central-1"


class Aws:
    """The server, and clients for it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str):
        return botocore.session.get_session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing-secret",
        )

    def reset(self) -> None:
        """Forget everything that was made."""
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")).close()


def _with_outputs(models: ModuleType) -> None:
    """Give a stack the outputs of the template that a change set brought: moto forgets them."""
    if getattr(models.ChangeSet.apply, "gives_outputs", False):
        return
    apply = models.ChangeSet.apply

    def applied(self: Any) -> None:
        apply(self)
        self.stack.output_map = models.OutputMap(self.stack.resource_map, self.template_dict, self.stack.stack_id)

    applied.gives_outputs = True  # type: ignore[attr-defined]
    models.ChangeSet.apply = applied


@contextmanager
def running_aws() -> Iterator[Aws]:
    """Start the server on a free port of loopback, and stop it afterwards."""
    # Imported late: it takes a second, and every process of a test run imports this module.
    from moto.cloudformation import models
    from moto.server import ThreadedMotoServer

    # What it does not know yet it answers with a page of its own, and a traceback in the log.
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    _with_outputs(models)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        yield Aws(f"http://localhost:{port}")  # a name that it takes for its own in the addresses of templates
    finally:
        server.stop()
