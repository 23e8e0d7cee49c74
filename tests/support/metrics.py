"""What a service says of itself on `/metrics`, as numbers that a test can look at."""

from collections.abc import Callable, Iterable

import aiohttp
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import WITHIN, eventually_async

# A sample's name and the values of its labels, in the order of the labels' names:
# ("bot_orders_open", "binance"), ("stream_gaps_total", "trimmed", "binance:BTCUSDT:trades").
Numbers = dict[tuple[str, ...], float]


def numbers(families: Iterable[Metric]) -> Numbers:
    """All samples, by name and values of the labels."""
    samples = [sample for family in families for sample in family.samples]
    return {(s.name, *(v for _, v in sorted(s.labels.items()))): s.value for s in samples}


async def page(port: int) -> Numbers:
    """What `/metrics` on *port* says, read by Prometheus's own parser; empty if nobody answers."""
    url, timeout = f"http://127.0.0.1:{port}/metrics", aiohttp.ClientTimeout(10)
    try:
        async with aiohttp.ClientSession() as http, http.get(url, timeout=timeout) as answer:
            assert answer.status == 200
            text = await answer.text()
    except aiohttp.ClientConnectionError:
        return {}
    return numbers(text_string_to_metric_families(text))


async def shows(
    port: int, *sample: str, is_: Callable[[float], bool], within: float = WITHIN
) -> Numbers:
    """The page on *port*, once that sample is there and as wanted."""
    seen: Numbers = {}

    async def there() -> bool:
        seen.clear()
        seen.update(await page(port))
        return sample in seen and is_(seen[sample])

    try:
        await eventually_async(there, within)
    except AssertionError as e:
        raise AssertionError(f"{sample} is {seen.get(sample)}") from e
    return seen
