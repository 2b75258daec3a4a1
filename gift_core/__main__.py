"""`python -m gift_core` is the `gift` command: what accelerate and torchrun start."""

from gift_core.cli import main

main()
