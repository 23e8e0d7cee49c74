"""The table of SECURITY.md: attempts by actor, with their number and their successes."""
