"""Queues to test against on one machine: a real SLURM of several nodes, and a stand-in for LSF."""
