"""Who asks: the API key of a request, and whether its role covers what is asked.

All dependencies are async, also those that wait for nothing: FastAPI runs others in threads, which
costs time and lets requests overtake each other.
"""

from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from core_api.keys import Ended, Key, Role
from core_api.parameters import LetterWorkspace, Workspace
from core_api.problems import FORBIDDEN, UNAUTHENTICATED, Problem
from core_api.services import Given

_BEARER = HTTPBearer(
    auto_error=False, scheme_name="bearer", description="`Authorization: Bearer ik_…`"
)
_HEADER = APIKeyHeader(
    name="x-api-key", auto_error=False, scheme_name="x-api-key", description="`x-api-key: ik_…`"
)
_CHALLENGE = {"www-authenticate": 'Bearer realm="telematics-ingress"'}


async def identified(
    services: Given,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    header: Annotated[str | None, Security(_HEADER)],
) -> Key:
    """Return the valid key of this request. Raises Problem (401)."""
    text = bearer.credentials if bearer is not None else header
    if not text:
        raise Problem(
            UNAUTHENTICATED,
            "The request carries no API key.",
            "Send `Authorization: Bearer <key>` or `x-api-key: <key>`; an operator makes a key "
            "with `ingress keys create`.",
            headers=_CHALLENGE,
        )
    key = await services.keyring.identify(text)
    if key is None:
        raise Problem(
            UNAUTHENTICATED,
            "The API key is unknown or incomplete.",
            "Check that the whole key arrived; `ingress keys list` shows the ids that there are, "
            "`ingress keys create` makes a new key.",
            headers=_CHALLENGE,
        )
    if isinstance(key, Ended):
        raise _of_ended(key)
    return key


def _of_ended(key: Ended) -> Problem:
    """Return the answer to whoever holds the secret of a key that has ended."""
    at = f"{key.at:%Y-%m-%d %H:%M:%SZ}"
    if key.revoked:
        return Problem(
            UNAUTHENTICATED,
            f"This key was revoked at {at}.",
            "Ask whoever revoked it for another: `ingress keys create` makes one.",
            headers=_CHALLENGE,
        )
    return Problem(
        UNAUTHENTICATED,
        f"This key ended at {at}.",
        "Use its successor; where that is lost, `ingress keys create` makes another.",
        headers=_CHALLENGE,
    )


async def ingest_key(key: Annotated[Key, Depends(identified)]) -> Key:
    """Return the key of a request to the ingest door. Raises Problem (401, 403)."""
    if key.role is not Role.INGEST:
        raise Problem(
            FORBIDDEN,
            f"A key of role {key.role} cannot send messages.",
            "Use a key of role ingest: `ingress keys create --role ingest --workspace <name> "
            "--publisher <id>`.",
        )
    return key


async def reader(key: Annotated[Key, Depends(identified)], workspace: Workspace) -> Key:
    """Return the key of a request that reads `workspace`. Raises Problem (401, 403)."""
    if key.role is Role.INGEST:
        raise Problem(
            FORBIDDEN,
            "A key of role ingest cannot read.",
            f"Use a key of role read: `ingress keys create --role read --workspace {workspace}`.",
        )
    if not key.covers(workspace):
        raise Problem(
            FORBIDDEN,
            f"This key does not cover workspace {workspace!r}.",
            "Ask for the key's own workspace, or use a key of this one.",
        )
    return key


async def letter_admin(key: Annotated[Key, Depends(identified)], workspace: LetterWorkspace) -> Key:
    """Return the key of a request that looks after dead letters. Raises Problem (401, 403)."""
    if key.role is not Role.ADMIN:
        raise Problem(
            FORBIDDEN,
            f"A key of role {key.role} cannot look after dead letters.",
            "Use a key of role admin: `ingress keys create --role admin`, with `--workspace` for one "
            "workspace alone.",
        )
    if not key.covers(workspace):
        raise Problem(
            FORBIDDEN,
            f"This key does not cover workspace {workspace!r}.",
            "Ask for the key's own workspace, or use an admin's key of all workspaces.",
        )
    return key
