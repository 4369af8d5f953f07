"""The values of operations, and types of config fields that several parts use."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta

Value: TypeAlias = Any
"""The argument or result of an operation: None, bool, 64-bit int, finite float, str, or a tuple of these."""

Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
"""A number from 0 to 1, as a field of a config."""
