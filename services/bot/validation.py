"""What pydantic finds wrong with a message, in a line."""

from pydantic import ValidationError


def what_is_wrong(error: ValidationError) -> str:
    """The first fault, and where it is."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
