"""What stops refine."""

from __future__ import annotations


class RefineError(Exception):
    """Going on would lose an event, or settings would: the process stops, and nothing is lost."""
