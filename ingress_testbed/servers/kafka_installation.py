"""Find an Apache Kafka and a Java to run it with."""

import re
import shutil
import subprocess
from pathlib import Path

from ingress_testbed.servers.apache_kafka import ApacheKafka
from ingress_testbed.servers.errors import NoServerError

FETCHED = Path(__file__).parents[2] / ".kafka"
"""Where `make kafka` puts the jars of a checkout."""

OLDEST_JAVA = 17
_SERVER_JAR = re.compile(r"kafka_2\.\d+-(\d+(?:\.\d+)+)\.jar")
_JAVA_VERSION = re.compile(r'version "(\d+)')
_SCRIPTS = ("kafka-server-start.sh", "kafka-server-start")
_ANSWER_SECONDS = 60


def find(home: Path | None, fetched: Path) -> ApacheKafka:
    """Return the Kafka of KAFKA_HOME, else of PATH, else the one in `fetched`.

    Raises NoServerError, which names what is missing.
    """
    if home is not None:
        return at(home / "libs")
    scripts = filter(None, map(shutil.which, _SCRIPTS))
    for jars in (*(Path(script).resolve().parents[1] / "libs" for script in scripts), fetched):
        if _version(jars) is not None:
            return at(jars)
    raise NoServerError(
        "no Apache Kafka: KAFKA_HOME is not set, kafka-server-start is not on PATH, "
        f"and `make kafka` has fetched none into {fetched}"
    )


def at(jars: Path) -> ApacheKafka:
    """Return the Kafka whose jars lie in `jars`. Raises NoServerError."""
    version = _version(jars)
    if version is None:
        raise NoServerError(f"there is no Apache Kafka in {jars}: no kafka_2.*.jar")
    return ApacheKafka(jars, version, _java())


def _version(jars: Path) -> str | None:
    found = (_SERVER_JAR.fullmatch(jar.name) for jar in jars.glob("kafka_2.*.jar"))
    return next((match[1] for match in found if match), None)


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise NoServerError(f"Apache Kafka is here, but no Java {OLDEST_JAVA} or newer on PATH")
    try:
        said = subprocess.run(  # noqa: S603 — a program that was looked for by its name
            [java, "-XX:-UsePerfData", "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        ).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoServerError(f"{java} does not run: {error}") from error
    version = _JAVA_VERSION.search(said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise NoServerError(f"{java} is not Java {OLDEST_JAVA} or newer: {said.strip()[:80]}")
    return java
