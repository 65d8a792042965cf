"""Call events sent to their owners: signed, in order per call, again until they arrive or are given up."""

from bot.calls.webhooks.delivery import Webhooks
from bot.calls.webhooks.rules import EventType, check_url

__all__ = ["EventType", "Webhooks", "check_url"]
