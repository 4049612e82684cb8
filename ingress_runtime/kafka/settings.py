"""How a process finds its Kafka cluster. Free of aiokafka, so that every process can read it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from ingress_runtime.settings import Settings, SettingsError

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}"

Bootstrap = Annotated[str, Field(pattern=rf"^{_HOST}(,{_HOST})*$")]
"""Brokers to ask for the cluster: `host:port[,host:port]`."""

Compression = Literal["none", "gzip", "lz4", "zstd"]

LARGEST_BATCH = 1_000_000
"""Bytes of a batch before compression; what brokers take by default (1,048,588) is a little more."""


class KafkaSettings(Settings):
    """The Kafka cluster, and the topic in which envelopes travel to core.

    Who may write to the topic is the brokers' decision (ACLs): core takes what stands in it.
    """

    model_config = SettingsConfigDict(env_prefix="INGRESS_KAFKA_")

    bootstrap: Bootstrap | None = Field(
        default=None,
        description="Brokers to ask for the cluster, such as kafka-1:9092,kafka-2:9092.",
    )
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] = Field(
        default="telematics.ingress",
        description="The topic of all workspaces; `ingress topics create` makes it.",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        description="How to speak with the brokers: in the clear or encrypted (SSL), with a "
        "password or token (SASL) or without.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) of the authorities that sign the brokers'; unset: the "
        "system's own.",
    )
    certificate_file: Path | None = Field(
        default=None,
        description="This client's certificate (PEM), where the brokers ask for one.",
    )
    key_file: Path | None = Field(
        default=None, description="The key (PEM, without a password) of that certificate."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="How SASL proves who we are."
    )
    sasl_username: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,256}$")] | None = Field(
        default=None, description="The user that SASL proves."
    )
    sasl_password: SecretStr | None = Field(default=None, description="That user's password.")
    compression: Compression = Field(
        default="zstd", description="How a producer compresses its batches."
    )

    @field_validator("sasl_password")
    @classmethod
    def _on_one_line(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not secret.get_secret_value().isprintable():
            raise ValueError("a password has no line breaks, tabs or other control characters")
        return secret

    @model_validator(mode="after")
    def _nothing_is_left_unused(self) -> Self:
        """Refuse what would not be used: somebody believes to be protected by it."""
        protocol = f"INGRESS_KAFKA_SECURITY_PROTOCOL is {self.security_protocol}"
        if self.uses_tls:
            if (self.certificate_file is None) != (self.key_file is None):
                raise ValueError(
                    "INGRESS_KAFKA_CERTIFICATE_FILE and INGRESS_KAFKA_KEY_FILE go together: set both"
                )
        elif self.ca_file or self.certificate_file or self.key_file:
            raise ValueError(
                f"{protocol}, which uses no certificates. Set it to SSL or SASL_SSL, or remove "
                "INGRESS_KAFKA_CA_FILE, INGRESS_KAFKA_CERTIFICATE_FILE and INGRESS_KAFKA_KEY_FILE"
            )
        given = (self.sasl_username is not None, self.sasl_password is not None)
        if self.uses_sasl and not all(given):
            raise ValueError(
                f"{protocol}, which needs INGRESS_KAFKA_SASL_USERNAME and "
                "INGRESS_KAFKA_SASL_PASSWORD: set both"
            )
        if not self.uses_sasl and any(given):
            raise ValueError(
                f"{protocol}, which asks for no user. Set it to SASL_SSL, or remove "
                "INGRESS_KAFKA_SASL_USERNAME and INGRESS_KAFKA_SASL_PASSWORD"
            )
        return self

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol in {"SSL", "SASL_SSL"}

    @property
    def uses_sasl(self) -> bool:
        """Whether connections prove who we are by SASL."""
        return self.security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}

    @property
    def servers(self) -> str:
        """The brokers to ask first. Raises SettingsError where none are named."""
        if self.bootstrap is None:
            purpose = type(self).model_fields["bootstrap"].description
            raise SettingsError([f"  INGRESS_KAFKA_BOOTSTRAP is not set. Set it: {purpose}"])
        return self.bootstrap
