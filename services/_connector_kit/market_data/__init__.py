"""The market-data wing: books, trades and tickers on their way to the streams."""
