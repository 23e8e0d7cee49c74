"""One process that speaks Binance's and Luno's wire protocols, with a real matching engine."""
