"""Proxies between processes: one that breaks connections, and a company's."""
