"""The Luno connector."""
