"""The workloads that run in phases: open everything, then hold it or close it."""
