"""What people write into settings and options: addresses and paths, each read in one place."""
