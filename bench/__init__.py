"""The benchmarks: each measures the service against a peer, or against a limit, in the same run.

A module here with a function `measure(scratch)` is a benchmark, named after the module. It gets an empty directory and
yields a `Figure` for each measurement; `python -m bench [names…]` prints them.
"""
