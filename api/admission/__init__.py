"""When a request is carried out: it waits for its turn, and leaves the line when its client does."""
