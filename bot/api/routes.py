"""The router: every route of the product, below /api/phone."""

from fastapi import APIRouter

from bot.api import calls, campaigns, carrier, consents, do_not_call, echo, erasures, events, health, webhooks
from bot.api import listening as live_sound
from bot.api import supervision as acts
from bot.api.lifespan import lifespan
from bot.api.problems import ProblemRoute

router = APIRouter(prefix="/api/phone", lifespan=lifespan, route_class=ProblemRoute)
for part in (calls, events, live_sound, acts, campaigns, do_not_call, consents, erasures, carrier, webhooks):
    router.include_router(part.router)
for part in (health, echo):
    router.include_router(part.router)
