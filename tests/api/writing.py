"""Writes GraphQL from Python values."""

import json
from typing import Any


def literal(value: Any) -> str:
    """The value as GraphQL has it; a tuple holds the name of an enum's value."""
    if isinstance(value, tuple):
        return value[0]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {literal(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


def call(name: str, selection: str, **arguments: Any) -> str:
    """A field with these arguments and what is selected of it."""
    written = ", ".join(f"{key}: {literal(value)}" for key, value in arguments.items())
    return f"{name}({written}) {selection}"
