"""What an order must pass before it is sent: limits, the halt switch, a Redis fit for orders."""
