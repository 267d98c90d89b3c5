"""What went wrong, in words for whoever called the command."""

from __future__ import annotations


class Fault(Exception):
    """Ends a command with a sentence, without a trace."""
