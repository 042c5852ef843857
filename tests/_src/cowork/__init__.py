"""Cowork: an agent proposes, a policy decides, a person confirms, and every step is an event."""

__version__ = "0.1.0"
