"""One file per step; steps that were released never change."""
