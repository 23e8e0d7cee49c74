"""cryptofeed's Binance feed into its Redis streams; runs in an environment of its own.

    python cryptofeed_peer.py KIND FEEDER_PORT REDIS_PORT OPTIONS

OPTIONS is JSON: keyword arguments of its Redis back end. Only addresses are changed: cryptofeed
insists on wss, and the feeder speaks ws.
"""

import asyncio
import json
import sys

from cryptofeed import FeedHandler, connection
from cryptofeed.backends.redis import BookStream, TickerStream, TradeStream
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import Binance

kind, feeder, redis, options = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
back_end = {"host": "127.0.0.1", "port": redis, **options}
connect = connection.connect
connection.connect = lambda address, **more: connect(address.replace("wss:", "ws:"), **more)
Binance.websocket_endpoints = [WebsocketEndpoint(f"wss://127.0.0.1:{feeder}")]
Binance.rest_endpoints = [
    RestEndpoint(
        f"http://127.0.0.1:{feeder}",
        routes=Routes("/api/v3/exchangeInfo", l2book="/api/v3/depth?symbol={}&limit={}"),
    )
]
handler = FeedHandler(
    config={"uvloop": True, "log": {"filename": "cryptofeed.log", "level": "WARNING"}}
)
if sys.version_info < (3, 12):
    # Its older releases ask for a loop that uvloop no longer makes by itself.
    asyncio.set_event_loop(asyncio.new_event_loop())
symbols = Binance.symbols()
if kind == "books":
    # The best 20 levels on every diff: what our connector publishes.
    callbacks = {L2_BOOK: BookStream(snapshots_only=True, **back_end)}
    feed = Binance(symbols=["BTC-USDT"], channels=[L2_BOOK], max_depth=20, callbacks=callbacks)
elif kind == "trades":
    feed = Binance(symbols=symbols, channels=[TRADES], callbacks={TRADES: TradeStream(**back_end)})
else:
    feed = Binance(symbols=symbols, channels=[TICKER], callbacks={TICKER: TickerStream(**back_end)})
handler.add_feed(feed)
handler.run()
