"""The rooms of this repository, and all their modules."""

import importlib
import pkgutil
from types import ModuleType

ROOMS = (
    "ingress_contracts",
    "ingress_runtime",
    "telematics_publisher",
    "core_ingest",
    "core_api",
    "core_consumer",
    "core_poller",
    "core_events",
    "ingress_testbed",
)


def room_of(module: str) -> str:
    """Return the room of the module named so: the first part of its name."""
    return module.partition(".")[0]


def modules() -> list[ModuleType]:
    """Import every module of every room but the programs (`__main__`); in the rooms' order."""
    found = []
    for room in ROOMS:
        package = importlib.import_module(room)
        found.append(package)
        found += [
            importlib.import_module(each.name)
            for each in pkgutil.walk_packages(package.__path__, f"{room}.")
            if not each.name.endswith(".__main__")
        ]
    return found
