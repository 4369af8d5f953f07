"""The values of operations."""

from __future__ import annotations

from typing import Any, TypeAlias

Value: TypeAlias = Any
"""The argument or result of an operation: None, bool, 64-bit int, str, or a tuple of these."""
