"""What a job can go back to: its record and its files before it was queued again, started over or discarded."""
