"""Archives of the classes that a broker loads, which save a third of the time that it takes.

    python -m ingress_testbed.servers.kafka_archive

`make kafka` makes them beside the jars that it fetched, by starting a broker and stopping it again.
Java ignores an archive that does not fit it or its jars.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from ingress_testbed.servers import kafka_installation


def make(jars: Path = kafka_installation.FETCHED) -> None:
    """Make the archives in `jars`. Raises ServerError where no broker can be started from there."""
    kafka = replace(kafka_installation.at(jars), archiving=True)
    with tempfile.TemporaryDirectory(prefix="ingress-kafka-") as directory:
        (broker,) = kafka.create(Path(directory), 1)
        broker.start()
        broker.stop()


if __name__ == "__main__":
    make()
