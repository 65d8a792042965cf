"""The same request is the same thing, however often it is sent: what an Idempotency-Key says. Depends on errors.

After draft-ietf-httpapi-idempotency-key-header: a key that comes with another request is refused.
"""

import hashlib
import secrets
from dataclasses import dataclass

from bot.errors import ConflictError


@dataclass(frozen=True)
class Asked:
    """Whose request it is, and the Idempotency-Key it came with, if any."""

    key_id: str | None = None
    """The API key's, not the Idempotency-Key's."""
    idempotency_key: str | None = None
    request_hash: str | None = None
    """Of what was asked for, where there is an Idempotency-Key."""
    secret: str = ""
    """The database's: without API keys, an id that follows from the Idempotency-Key alone could be guessed."""

    def id_of(self, kind: str) -> str:
        """`kind`, an underscore and 24 hex digits: the one id of the Idempotency-Key, a new one without.

        Keys of two API keys have nothing to do with each other.
        """
        if self.idempotency_key is None:
            return f"{kind}_{secrets.token_hex(12)}"
        digest = hashlib.sha256(
            f"{kind}|{self.key_id or self.secret}|{self.idempotency_key}".encode()
        ).hexdigest()
        return f"{kind}_{digest[:24]}"


UNASKED = Asked()


def check_same(kept_hash: str | None, request_hash: str | None, what: str) -> None:
    """ConflictError where the id of this request is that of another one: a call, a campaign."""
    if kept_hash != request_hash:
        raise ConflictError(
            f"This Idempotency-Key came with another {what} before: use a new key.",
            code="idempotency_key_reused",
            field="Idempotency-Key",
        )
