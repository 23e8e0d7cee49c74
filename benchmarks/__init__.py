"""Benchmarks: ratios in one run, never assertions in a timed test."""
