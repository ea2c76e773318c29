"""Gather, decide, act, record: level-triggered, so that a lost event changes nothing."""
