"""What happens in calls, as it happens: events to those who follow them, in any process.

    call, store, webhooks → EventHub → subscriptions of this process, and of others by NOTIFY

`EventHub` keeps a short log a call and costs next to nothing while nobody follows; `Feeds` opens streams.
"""

from bot.calls.live.feed import Feed, Feeds
from bot.calls.live.hub import EventHub

__all__ = ["EventHub", "Feed", "Feeds"]
