"""The account: orders and balances as they are published, and compared with the venue."""
