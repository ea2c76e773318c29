"""Every command of `station`, in the order of `station --help`."""

from __future__ import annotations

from reconciler.cli.lazy import Entry

COMMANDS = {
    "demo": Entry("reconciler.cli.demo", "Play a whole round on this machine, in a scratch directory."),
    "init": Entry("reconciler.cli.init", "Make a new configuration repository to start from."),
    "validate": Entry("reconciler.cli.validate", "Find everything that is wrong with a configuration repository."),
    "diff": Entry("reconciler.cli.diff", "Show what merging a branch would do, and why."),
    "serve": Entry("reconciler.cli.serve", "Run the service: watch, reconcile, serve API and metrics."),
    "reconcile": Entry("reconciler.cli.reconcile", "Make one pass until nothing is left to do, then exit."),
    "render": Entry("reconciler.cli.render", "Show a stack's effective configuration and where it comes from."),
    "blueprint": Entry("reconciler.cli.blueprint", "Look at a blueprint's inputs, and at what it would make."),
    "status": Entry("reconciler.cli.status", "Show how the service stands."),
    "stacks": Entry("reconciler.cli.stacks", "List stacks."),
    "stack": Entry("reconciler.cli.stack", "Look at a stack and steer it."),
    "runs": Entry("reconciler.cli.runs", "List runs."),
    "run": Entry("reconciler.cli.run", "Look at a run and steer it."),
    "policy": Entry("reconciler.cli.policy", "Try policies on recorded inputs; record the input of a run."),
    "held": Entry("reconciler.cli.held", "Look at the changes that wait for somebody with the right; approve them."),
    "audit": Entry("reconciler.cli.audit", "List what was admitted, approved and asked for; check that it is whole."),
    "access": Entry("reconciler.cli.access", "Ask who may do what where, and what that rests on."),
    "token": Entry("reconciler.cli.token", "Make, list and revoke tokens for the API."),
    "seal": Entry("reconciler.cli.seal", "Encrypt a value for one place in the configuration."),
    "doctor": Entry("reconciler.cli.doctor", "Check that everything is there that a service needs."),
    "schema": Entry("reconciler.cli.schema", "Print or write the JSON Schemas for editors."),
}
