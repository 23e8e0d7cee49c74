"""Reads, claims, guards and answers the command streams."""
