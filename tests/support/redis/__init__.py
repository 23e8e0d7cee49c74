"""Redis servers: in secure mode, without write access, and with a stream writer."""
