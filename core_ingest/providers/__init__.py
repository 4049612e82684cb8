"""Interpreters: pure functions from a provider's bytes to readings, found by entry point.

An interpreter of the group `telematics_ingress.interpreters` is named after its provider. It takes
the data of an envelope and returns an Interpretation, or raises Uninterpretable. It must be total:
any bytes lead to one of the two.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TypeAlias

from core_ingest.reading import Interpretation

Interpreter: TypeAlias = Callable[[bytes], Interpretation]


def interpreters() -> Mapping[str, Interpreter]:
    """Return the installed interpreters by provider."""
    found = entry_points(group="telematics_ingress.interpreters")
    return {entry.name: entry.load() for entry in found}
