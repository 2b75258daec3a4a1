"""Who is served next, and how much of what everyone shares one requester may hold."""
