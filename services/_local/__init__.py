"""What `make run` is made of: an embedded Redis and a launcher. Not a process of the suite."""
