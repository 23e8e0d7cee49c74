"""The table of SECURITY.md: who tried what, how often it was tried, and what succeeded."""
