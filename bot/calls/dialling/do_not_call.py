"""The do-not-call list: looked up before every call, and added to by the API and by callees."""

from collections.abc import Sequence
from datetime import UTC, datetime

from loguru import logger

from bot.calls.dialling.policy import LISTED
from bot.errors import NotFoundError
from bot.phone_numbers import can_be_called_back
from bot.records import CallRecord
from bot.store.do_not_call import Listed, ListedBy, SqlDoNotCallStore


class DoNotCall:
    """Numbers are E.164."""

    def __init__(self, store: SqlDoNotCallStore) -> None:
        self.store = store

    async def check(self, phone_number: str) -> None:
        """RequestError, code do_not_call, for a number that must not be called."""
        if await self.is_listed(phone_number):
            raise LISTED.error()

    async def is_listed(self, phone_number: str) -> bool:
        return await self.store.get(phone_number) is not None

    async def find(self, phone_number: str) -> Listed:
        """NotFoundError for a number that may be called."""
        found = await self.store.get(phone_number)
        if found is None:
            raise NotFoundError("This number is not on the do-not-call list.", field="phone_number")
        return found

    async def add(self, phone_number: str, reason: str | None = None) -> tuple[Listed, bool]:
        """How it stands on the list now, and whether that is news."""
        news = await self.store.add([phone_number], at=datetime.now(UTC), reason=reason)
        return await self.find(phone_number), bool(news)

    async def add_all(self, phone_numbers: Sequence[str], reason: str | None = None) -> int:
        """How many of them were not on the list before."""
        return await self.store.add(phone_numbers, at=datetime.now(UTC), reason=reason)

    async def asked_for(self, phone_number: str, call_id: str, reason: str | None = None) -> None:
        """The callee asked for it in the call. Doing it twice does it once."""
        now = datetime.now(UTC)
        if await self.store.add([phone_number], at=now, source=ListedBy.CALL, reason=reason, call_id=call_id):
            logger.info("the callee is on the do-not-call list now")

    async def keep_promise(self, record: CallRecord) -> None:
        """After a call in which the agent said that it is the last: the list may have been out of reach then."""
        outcome, number = record.outcome, record.spec.phone_number
        if outcome and outcome.fields.get("do_not_call") is True and can_be_called_back(number):
            await self.asked_for(number, record.call_id)

    async def remove(self, phone_number: str) -> None:
        """NotFoundError where it was not on the list."""
        if not await self.store.remove(phone_number):
            raise NotFoundError("This number is not on the do-not-call list.", field="phone_number")
