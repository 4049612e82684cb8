"""An edge that is checked: its streams.toml, its settings, and the findings about it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingress_runtime.findings import Finding, Level
from ingress_testbed.demo.installation import streams_toml
from telematics_publisher import check
from telematics_publisher.settings import PublisherSettings, TransportSettings
from telematics_publisher.ways import Way

if TYPE_CHECKING:
    from tests.integration.publisher.door import Door
    from tests.integration.publisher.provider_server import ProviderServer

KEY_ID = "0123456789abcdef"
SECRETS = {"INGEST_KEY": f"ik_{KEY_ID}_{'s' * 43}", "PROVIDER_KEY": "provider-secret-key"}


def streams_at(url: str) -> str:
    """Return a streams.toml of one stream at `url`: `fleet` of acme."""
    return streams_toml("edge-1", url, {"arcc_004": ["soc"]}, "acme")


class Edge:
    """An edge to be checked: its streams.toml, its settings, the door and the provider."""

    def __init__(self, directory: Path, door: "Door", provider: "ProviderServer") -> None:
        self.path = directory / "streams.toml"
        self.journals = directory / "journals"
        self.api_url = door.url
        self.path.write_text(streams_at(provider.url))

    async def check(self, **options: Any) -> dict[str, Finding]:
        """Return the findings by subject."""
        found = check.check(
            self.path,
            PublisherSettings(journal_dir=self.journals),
            Way(TransportSettings(api_url=self.api_url)),
            **options,
        )
        return await by_subject(found)

    async def examine(self) -> dict[str, Finding]:
        """Return what the doctor finds."""
        environ = {
            **SECRETS,
            "INGRESS_API_URL": self.api_url,
            "PUBLISHER_STREAMS": str(self.path),
            "PUBLISHER_JOURNAL_DIR": str(self.journals),
        }
        return await by_subject(check.EXAMINATION.examine(environ))


async def by_subject(findings: AsyncIterator[Finding]) -> dict[str, Finding]:
    found = [one async for one in findings]
    assert all((one.remedy is None) is (one.level is Level.OK) for one in found)
    assert not any(secret in repr(found) for secret in SECRETS.values())
    return {one.subject: one for one in found}
