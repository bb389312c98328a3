"""Proventrail records where data and models came from, and proves the record."""

__version__ = "0.1.0"
