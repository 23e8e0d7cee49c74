"""Mutation run over the order path: bugs as data, and which tests notice each of them."""
