"""The metrics of a service, as they are put together and written."""

import asyncio
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from services._runtime.metrics import Metrics, counters, gauges
from tests.support.metrics import numbers

FAMILIES = 50


def many() -> Iterator[Metric]:
    """Some families."""
    for number in range(FAMILIES):
        yield gauges(f"of_{number}", "One of many.", ["stream"], {"a": number, "b": 1})


async def test_the_page_is_what_the_client_library_would_write() -> None:
    """Family by family, and nothing between them."""
    metrics = Metrics("bot")
    metrics.watch(many)
    page = (await metrics.page()).decode()
    whole = generate_latest(metrics.registry).decode()
    named = [line for line in whole.splitlines() if line.startswith("# TYPE")]
    assert [line for line in page.splitlines() if line.startswith("# TYPE")] == named
    found = numbers(text_string_to_metric_families(page))
    assert found.keys() == numbers(text_string_to_metric_families(whole)).keys()
    assert found["of_49", "a"] == 49


async def test_a_long_page_does_not_block_other_tasks() -> None:
    """Others get their turn between two families."""
    metrics = Metrics("bot")
    metrics.watch(many)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    await metrics.page()
    other.cancel()
    assert turns >= FAMILIES


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 10**9)))
def test_a_family_has_a_sample_for_each_value(values: dict[str, int]) -> None:
    """Whatever the label says; a counter has its `_total`."""
    assert numbers([gauges("g", "Some.", ["stream"], values)]) == {
        ("g", key): value for key, value in values.items()
    }
    assert numbers([counters("c", "Some.", ["stream"], values)]) == {
        ("c_total", key): value for key, value in values.items()
    }


def test_several_labels_are_named_in_their_order() -> None:
    """As the values are."""
    [sample] = counters("c", "Some.", ["stream", "reason"], {("a", "b"): 2}).samples
    assert sample.labels == {"stream": "a", "reason": "b"}
    assert sample.value == 2
