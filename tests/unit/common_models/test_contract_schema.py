"""The models are the contract's: fields, order, types and defaults, written down from it."""

from typing import Any

import pytest
from pydantic import BaseModel

import common_models

# One line a field, in the contract's order: name, JSON type, and the default if there is one.
# "made" is a default that is made anew for each message: an id, or the time.
CONTRACT = {
    "Ticker": """
        symbol          string
        timestamp       date-time
        last_price      number
        bid_price       number
        ask_price       number
        volume_24h      number?         = None
        exchange        string
    """,
    "OrderBookLevel": """
        price           number
        quantity        number
    """,
    "OrderBook": """
        symbol          string
        timestamp       date-time
        bids            [OrderBookLevel]
        asks            [OrderBookLevel]
        exchange        string
    """,
    "Trade": """
        symbol          string
        timestamp       date-time
        price           number
        quantity        number
        side            string
        trade_id        string?         = None
        exchange        string
    """,
    "PlaceOrderCommand": """
        client_order_id string          = made
        symbol          string
        type            string
        side            string
        quantity        number
        price           number?         = None
    """,
    "RequestBalanceCommand": """
        client_request_id string        = made
        exchange        string
        assets          [string]?       = None
    """,
    "OrderResponseEvent": """
        client_order_id string
        order_id        string?         = None
        symbol          string
        requested_quantity number
        requested_price number?         = None
        side            string
        type            string
        status          string
        timestamp       date-time       = made
        error_message   string?         = None
        filled_quantity number?         = 0.0
    """,
    "OrderStatusUpdateEvent": """
        order_id        string
        client_order_id string?         = None
        symbol          string
        status          string
        filled_quantity number
        remaining_quantity number
        average_price   number?         = None
        trades          [Trade]?        = None
        fee             object?         = None
        timestamp       date-time       = made
        exchange        string
    """,
    "AccountBalanceEvent": """
        exchange        string
        asset           string
        free            number
        locked          number
        total           number
        timestamp       date-time       = made
    """,
    "IndicatorValue": """
        timestamp       date-time       = made
        value           number
        indicator_name  string
        symbol          string
        exchange        string
    """,
}


def model(name: str) -> type[BaseModel]:
    """The model of that name, as everybody imports it."""
    found: type[BaseModel] = getattr(common_models, name)
    return found


def json_type(schema: dict[str, Any]) -> str:
    """A field's JSON Schema in the table's words."""
    if "anyOf" in schema:
        inner = [part for part in schema["anyOf"] if part != {"type": "null"}]
        assert len(inner) == len(schema["anyOf"]) - 1 == 1
        return f"{json_type(inner[0])}?"
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    if schema["type"] == "array":
        return f"[{json_type(schema['items'])}]"
    return str(schema.get("format", schema["type"]))


def described(model: type[BaseModel]) -> list[str]:
    """The model's fields as the table has them."""
    schema = model.model_json_schema(mode="serialization")
    lines = []
    for name, field in model.model_fields.items():
        line = f"{name} {json_type(schema['properties'][name])}"
        if field.default_factory is not None:
            line += " = made"
        elif not field.is_required():
            line += f" = {field.default!r}"
        lines.append(line)
    return lines


@pytest.mark.parametrize("name", CONTRACT)
def test_a_model_has_the_contracts_fields_types_and_defaults(name: str) -> None:
    """In the contract's order; what we add comes after it and has a default."""
    expected = [" ".join(line.split()) for line in CONTRACT[name].strip().splitlines()]
    found = described(model(name))
    assert found[: len(expected)] == expected
    assert all(" = " in added for added in found[len(expected) :])


def test_all_ten_models_are_importable_from_common_models() -> None:
    """And each lives in the file that the contract names."""
    files = {name: model(name).__module__ for name in CONTRACT}
    market = "common_models.market_data_models"
    events = "common_models.commands_events_models"
    assert files == {
        "Ticker": market,
        "OrderBookLevel": market,
        "OrderBook": market,
        "Trade": market,
        "PlaceOrderCommand": events,
        "RequestBalanceCommand": events,
        "OrderResponseEvent": events,
        "OrderStatusUpdateEvent": events,
        "AccountBalanceEvent": events,
        "IndicatorValue": "common_models.indicator_models",
    }
    assert set(CONTRACT) <= set(common_models.__all__)
