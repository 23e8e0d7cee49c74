"""The check of the project's English: `python -m tests.english`, part of `make check`."""
