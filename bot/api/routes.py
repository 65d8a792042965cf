"""The router: every route of the product, below /api/phone."""

from fastapi import APIRouter

from bot.api import (
    calls,
    campaigns,
    carrier,
    consents,
    do_not_call,
    echo,
    erasures,
    events,
    health,
    listening,
    softphone,
    supervision,
    webhooks,
)
from bot.api.lifespan import lifespan
from bot.api.problems import ProblemRoute

PARTS = (
    *(calls, events, listening, supervision, campaigns, do_not_call),
    *(consents, erasures, carrier, webhooks, health, echo, softphone),
)
router = APIRouter(
    prefix="/api/phone",
    lifespan=lifespan,
    route_class=ProblemRoute,
    # operationId: what a generated client calls the method.
    generate_unique_id_function=lambda route: route.name,
)
for part in PARTS:
    router.include_router(part.router)
