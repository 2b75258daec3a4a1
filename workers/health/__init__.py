"""Whether the machine lets the studio work: what counts as its fault, how that is found out, and what waits for it."""
