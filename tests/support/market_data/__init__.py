"""Market data: messages, recordings, and comparisons of published data with the truth."""
