"""What goes wrong in privacy. No message quotes a value of an event."""

from __future__ import annotations


class PolicyError(Exception):
    """A policy that cannot be used: file, line and reason. Nothing may start with it."""


class AnonymiseError(Exception):
    """A batch could not be anonymised. Who runs the batch must stop: nothing of it may be passed on."""
