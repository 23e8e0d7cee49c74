"""Command streams: read, claimed, guarded, and answered."""
