"""How any service lives: settings, logs, lifecycle, health, Redis."""
