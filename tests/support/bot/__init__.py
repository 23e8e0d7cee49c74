"""The bot and the indicator host as processes, stages around them, and strategies for tests."""
