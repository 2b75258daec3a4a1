"""What is looked at with torch before a job is made: in a process of its own, so that the server imports none of it."""
