"""The served snapshot against the one that the input alone leads to. Pure."""

from collections.abc import Iterator, Mapping

from ingress_testbed.truth import Latest

Key = tuple[str, str]
"""A vehicle as the provider names it, and a signal."""


def mismatches(served: Mapping[Key, Latest], true: Mapping[Key, Latest]) -> Iterator[str]:
    """Yield a sentence for each value that is missing, too many, or another one."""
    for key in sorted(served.keys() | true.keys()):
        is_, shall = served.get(key), true.get(key)
        if is_ != shall:
            vehicle, signal = key
            yield f"{vehicle} {signal}: served {_said(is_)}, should be {_said(shall)}"


def _said(latest: Latest | None) -> str:
    return "nothing" if latest is None else f"{latest.value} at {latest.observed.isoformat()}"
