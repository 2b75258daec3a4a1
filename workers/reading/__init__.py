"""Files of other people are read in processes of their own, which have a limit of memory and of time."""
