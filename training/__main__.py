"""`python -m training`: the `train` command, for launchers that start modules (torchrun -m training run ...)."""

from training.cli import main

main()
