"""Where Twilio reports to, below our origin."""

from urllib.parse import quote

from bot.telephony.carrier import API_PATH, DialOrder, LegStep

PREFIX = "/twilio"


def voice_url(order: DialOrder) -> str:
    """Asked by Twilio when the callee, or a transfer's person, picks up."""
    if order.transfer is not None:
        return transfer_url(order.origin, order.transfer, LegStep.ANSWERED)
    return of_call(order.origin, "voice", order.call_id)


def status_url(order: DialOrder) -> str:
    if order.transfer is not None:
        return transfer_url(order.origin, order.transfer, LegStep.STATUS)
    return of_call(order.origin, "status", order.call_id)


def amd_url(order: DialOrder) -> str | None:
    return of_call(order.origin, "amd", order.call_id) if order.detect else None


def of_call(origin: str, webhook: str, call_id: str | None) -> str:
    """`webhook`: voice, status or amd. `call_id` None: a call that comes in."""
    query = "" if call_id is None else f"?call_id={quote(call_id)}"
    return f"{origin}{API_PATH}{PREFIX}/{webhook}{query}"


def transfer_url(origin: str, token: str, step: LegStep) -> str:
    return f"{origin}{API_PATH}{PREFIX}/transfer/{token}/{step}"
