from datetime import UTC, datetime
from uuid import UUID

import pytest

from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import PROVIDER_MESSAGE


@pytest.fixture
def envelope() -> Envelope:
    return Envelope(
        id="8a7f1c3e-9d52-8f0c-ab1a-7e4401943f10",
        source="/viriciti/acme/buses",
        type=PROVIDER_MESSAGE,
        subject="arcc_004",
        provider="viriciti",
        workspaceid="acme",
        receivedtime=datetime(2026, 1, 1, 12, 0, 1, 123_456, tzinfo=UTC),
        publisherid="edge-1",
        publisherepoch=UUID("01943f10-8f7a-7c3e-9d52-5f0c2b1a7e44"),
        sequence=41,
        data=b'{"vid":"arcc_004"}',
    )
