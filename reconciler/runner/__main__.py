"""Run one job: `python -I -m reconciler.runner`, in the run's directory, with the job on standard input."""

from __future__ import annotations

import sys

from reconciler.runner.main import main

sys.exit(main())
