"""A service to be killed: starts the runs that it is told on standard input, and goes on until it dies."""

import json
import sys
from pathlib import Path

from reconciler.engine.local import LocalEngine
from reconciler.runner.contract.records import job_from_data

engine = LocalEngine(Path(sys.argv[1]), sandbox=sys.argv[2] == "True")
for line in sys.stdin:
    job = job_from_data(json.loads(line))
    engine.start(job, (lambda _: None) if job.leg == "plan" else None)
    sys.stdout.write("started\n")
    sys.stdout.flush()
    engine.reports(float(sys.argv[3]))
