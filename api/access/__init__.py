"""Who is signed in, and where."""
