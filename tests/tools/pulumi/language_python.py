"""A language host for Pulumi programs in Python, for the tests: Pulumi's own cannot be had as a Go module.

`pulumi` starts it with the engine's address, reads a port from its first line, and asks it over gRPC. It runs a program
with Pulumi's own `pulumi-language-python-exec`, under the Python of the project's `virtualenv` or its own, and returns
how that ended. It installs no packages, and asks for no provider plugins.
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
from pulumi.runtime.proto import LanguageRuntimeServicer, language_pb2, plugin_pb2
from pulumi.runtime.proto.language_pb2_grpc import add_LanguageRuntimeServicer_to_server

EXECUTOR = Path(__file__).with_name("pulumi-language-python-exec")
# It exits with this code when it has shown the user what is wrong.
SHOWN = 32


class Host(LanguageRuntimeServicer):
    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._programs: list[subprocess.Popen[bytes]] = []

    def stop(self) -> None:
        for program in self._programs:
            program.terminate()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:  # noqa: N802
        return plugin_pb2.PluginInfo(version=version("pulumi"))

    def GetRequiredPackages(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        return language_pb2.GetRequiredPackagesResponse()

    def About(self, request: Any, context: grpc.ServicerContext) -> language_pb2.AboutResponse:  # noqa: N802
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def Run(self, request: Any, context: grpc.ServicerContext) -> language_pb2.RunResponse:  # noqa: N802
        command = [_python(request.info), "-u", str(EXECUTOR)]
        for option, value in {
            "monitor": request.monitor_address,
            "engine": self._engine,
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization,
            "root_directory": request.info.root_directory,
            "pwd": request.pwd,
            "parallel": str(request.parallel),
            "dry_run": "true" if request.dryRun else "false",
        }.items():
            if value:
                command += [f"--{option}", value]
        environment = os.environ | {
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        program = subprocess.Popen([*command, request.program, *request.args], env=environment)
        self._programs.append(program)
        code = program.wait()
        if code == SHOWN:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=f"the program exited with {code}" if code else "")


def _python(info: Any) -> str:
    options = dict(info.options)
    if "virtualenv" not in options:
        return sys.executable
    return str(Path(info.root_directory, options["virtualenv"], "bin", "python"))


def main() -> None:
    engine = os.getppid()
    host = Host(sys.argv[-1])
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    add_LanguageRuntimeServicer_to_server(host, server)
    sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
    sys.stdout.flush()
    server.start()
    # The engine interrupts its hosts when it is done with them; one that was killed leaves them behind.
    with suppress(KeyboardInterrupt):
        while os.getppid() == engine:
            time.sleep(0.5)
    host.stop()


if __name__ == "__main__":
    main()
