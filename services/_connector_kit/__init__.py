"""How any connector works: one exchange in our words, and the engine that serves it."""
