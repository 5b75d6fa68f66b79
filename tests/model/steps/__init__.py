"""What can be done to a broker, as plain values: a run is a list of them, and its own reproduction.

A step names things by small numbers and fixed names, which mean something in every state, so that any
list of steps is a run, and a shorter list of a run that fails is tried as it is. A step that has nothing
to work on does nothing.
"""

from tests.model.steps.base import Step

__all__ = ["Step"]
