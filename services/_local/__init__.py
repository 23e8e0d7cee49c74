"""What `make run` and `make secrets` are made of. Not a process of the suite."""
