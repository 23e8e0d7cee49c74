"""Writes many small entries to Redis streams, in few system calls."""
