"""placeholder"""


def description(largest: int) -> dict[str, object]:
    return {"openapi": "3.1.0", "info": {"title": str(largest)}}
