"""Market data: books, trades and tickers on their way to the streams."""
