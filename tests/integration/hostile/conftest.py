"""Borrows the eyes and hands of the rooms that hostile input passes through."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_INTEGRATION = Path(__file__).parents[1]


def _load(path: str) -> ModuleType:
    """Import a helper that lies beside other tests: they are no package."""
    module = f"hostile_tests_{path.replace('/', '_')}"
    if module not in sys.modules:
        spec = importlib.util.spec_from_file_location(module, _INTEGRATION / f"{path}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    return sys.modules[module]


_ingest = _load("ingest/conftest")
_publisher = _load("publisher/conftest")
_api = _load("api/conftest")

core, edge = _ingest.core, _ingest.edge
provider, provider_servers = _publisher.provider, _publisher.provider_servers
api, open_api = _api.api, _api.open_api
door, doors, journal = _publisher.door, _publisher.doors, _publisher.journal
