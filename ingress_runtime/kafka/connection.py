"""How aiokafka's clients connect: the same for producer, consumer and administration."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaConnectionError

from ingress_runtime.kafka.errors import (
    TRANSLATED,
    BrokersSilent,
    BrokersUnreachable,
    KafkaTrouble,
    NotAllowed,
    translated,
)
from ingress_runtime.kafka.settings import KafkaSettings
from ingress_runtime.settings import SettingsError

CLIENT_ID = "telematics-ingress"

_CLOSE_SECONDS = 1.0
"""A hung broker may never take what is left to write to it."""


def options(settings: KafkaSettings) -> dict[str, Any]:
    """Return the keyword arguments that every aiokafka client takes, TLS and SASL included.

    Raises SettingsError where no brokers are named, or a certificate cannot be read.
    """
    found: dict[str, Any] = {
        "bootstrap_servers": settings.servers.split(","),
        "client_id": CLIENT_ID,
        "security_protocol": settings.security_protocol,
    }
    if settings.uses_tls:
        found["ssl_context"] = ssl_context(settings)
    if settings.uses_sasl:
        password = settings.sasl_password
        found |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    return found


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Return a context that checks the brokers' certificates and host names.

    Raises SettingsError where a file cannot be read or is none of that kind.
    """
    variable, path = "INGRESS_KAFKA_CA_FILE", settings.ca_file
    try:
        context = ssl.create_default_context(cafile=path)
        if settings.certificate_file is not None:
            variable, path = "INGRESS_KAFKA_CERTIFICATE_FILE", settings.certificate_file
            # The empty password keeps OpenSSL from asking for one at the terminal.
            context.load_cert_chain(path, settings.key_file, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        remedy = "Name a PEM file that this user may read"
        if variable == "INGRESS_KAFKA_CERTIFICATE_FILE":
            remedy += ", and as INGRESS_KAFKA_KEY_FILE its key, without a password"
        raise SettingsError([f"  {variable}={str(path)!r}: {said}. {remedy}."]) from error
    return context


@asynccontextmanager
async def connected(settings: KafkaSettings, within: float) -> AsyncIterator[AIOKafkaClient]:
    """Yield a client that knows the cluster, for questions that take `within` seconds in all.

    Raises BrokersUnreachable, BrokersSilent, NotAllowed, and what else KafkaTrouble the questions
    raise; aiokafka's errors are translated.
    """
    client = AIOKafkaClient(**options(settings), request_timeout_ms=round(within * 1_000))
    try:
        async with asyncio.timeout(within):
            await _bootstrap(client, settings)
            yield client
    except TimeoutError as error:
        raise BrokersSilent(f"no answer from {settings.servers} within {within:g} s") from error
    except TRANSLATED as error:
        raise translated(error) from error
    finally:
        await close(client)


async def why_unreachable(settings: KafkaSettings) -> KafkaTrouble:
    """Return why no broker named by the settings takes a connection; takes as long as it takes.

    aiokafka's own bootstrap logs the reasons and raises none of them.
    """
    given = options(settings)
    found: KafkaTrouble | None = None
    for host, port, _ in collect_hosts(given.pop("bootstrap_servers")):
        try:
            connection = await create_conn(host, port, **given)
        except TRANSLATED as error:
            trouble = translated(error)
            found = type(trouble)(f"{host}:{port}: {trouble}")
            if isinstance(found, NotAllowed):
                return found
        else:
            connection.close()
    return found or BrokersUnreachable(f"{settings.servers}: the connection broke")


async def close(client: AIOKafkaClient) -> None:
    """Close a client's connections, whatever their other side does."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()


async def _bootstrap(client: AIOKafkaClient, settings: KafkaSettings) -> None:
    try:
        await client.bootstrap()
    except KafkaConnectionError as error:
        raise await why_unreachable(settings) from error
