"""Where the work runs: the only package that starts a process."""
