# refund_rules.py
"""The rules that a refund is decided by."""

from typing import Literal


def size(amount: float) -> Literal["small", "large"]:
    """Whether an amount is large: then a person decides."""
    return "large" if amount > 100 else "small"
