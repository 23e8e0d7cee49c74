"""Micro-benchmarks: pytest-benchmark, one part each."""
