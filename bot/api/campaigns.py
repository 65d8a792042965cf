"""Campaigns: upload, list, progress, pause, resume, cancel, bad rows, results."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from bot.api.auth import KEY_REQUIRED, asked_by
from bot.api.campaign_answers import (
    BadRowAnswer,
    BadRowsAnswer,
    CampaignAnswer,
    CampaignPageAnswer,
    CampaignSummary,
    CreatedAnswer,
    DryRunAnswer,
    ProgressAnswer,
    ResultsAnswer,
    file_answer,
    overlaps_of,
)
from bot.api.campaign_bodies import UPLOAD_BODY, CampaignListQuery, CampaignRequest, ResultsQuery, RowsQuery
from bot.api.lifespan import agent_of
from bot.api.problems import ErrorBody, Problem, ProblemRoute, responses
from bot.api.upload import UploadRoute, opened
from bot.calls.campaigns import Campaigns, NoContactError
from bot.calls.campaigns.results import MARK, header, row, written
from bot.store.campaign_records import Campaign, Result

CSV_PAGE = 200
"""Results read at a time for the table: some 6 ms of the event loop."""

router = APIRouter(tags=["campaigns"], route_class=ProblemRoute, dependencies=[KEY_REQUIRED])
uploads = APIRouter(tags=["campaigns"], route_class=UploadRoute, dependencies=[KEY_REQUIRED])


class NoContactBody(ErrorBody):
    bad_rows: list[BadRowAnswer]


@uploads.post(
    "/campaigns",
    status_code=201,
    summary="Call many: contacts as JSON or CSV, under one policy",
    response_model=CreatedAnswer,
    responses={
        200: {"model": DryRunAnswer, "description": "With `dry_run`: what would be called."},
        **responses(401, 409, 413, 422, 500),
    },
    openapi_extra=UPLOAD_BODY,
)
async def create_campaign(
    request: Request,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=255, description="The same key and body make one campaign."),
    ] = None,
) -> CreatedAnswer | JSONResponse:
    campaigns = _campaigns(request)
    async with opened(request) as upload:
        wanted = CampaignRequest.of(upload.fields)
        digest = None if idempotency_key is None else await upload.digest()
        asked = asked_by(request, idempotency_key, digest)
        campaign = wanted.campaign(asked, now=datetime.now(UTC))
        rows = upload.rows
        try:
            if wanted.dry_run:
                tried = await campaigns.try_out(campaign, rows, columns=rows.columns, country=wanted.country)
                return JSONResponse(DryRunAnswer.tried(tried, file_answer(rows.form)).model_dump(mode="json"))
            loaded = await campaigns.create(campaign, rows, columns=rows.columns, country=wanted.country)
        except NoContactError as e:
            problem = Problem(code=e.code, message=e.message, field=e.field)
            bad_rows = [BadRowAnswer.model_validate(bad) for bad in e.rejected]
            body = NoContactBody(error=problem, bad_rows=bad_rows)
            return JSONResponse(body.model_dump(exclude_none=True), status_code=422)
    campaign = loaded.campaign
    response.headers["Location"] = request.url_for("get_campaign", campaign_id=campaign.campaign_id).path
    answer = await _answer(campaigns, campaign)
    bad_rows = [BadRowAnswer.model_validate(bad) for bad in loaded.rejected]
    overlaps = overlaps_of(loaded.overlaps)
    return CreatedAnswer(**dict(answer), file=file_answer(rows.form), overlaps=overlaps, bad_rows=bad_rows)


@router.get("/campaigns", summary="List campaigns, newest first", responses=responses(401, 422, 500))
async def list_campaigns(query: Annotated[CampaignListQuery, Query()], request: Request) -> CampaignPageAnswer:
    page = await _campaigns(request).store.page(status=query.status, limit=query.limit, cursor=query.cursor)
    campaigns = [CampaignSummary.of(campaign) for campaign in page.items]
    return CampaignPageAnswer(campaigns=campaigns, next_cursor=page.next_cursor)


@router.get(
    "/campaigns/{campaign_id}",
    summary="Read a campaign and how far it is",
    responses=responses(401, 404, 422, 500),
)
async def get_campaign(campaign_id: str, request: Request) -> CampaignAnswer:
    campaigns = _campaigns(request)
    return await _answer(campaigns, await campaigns.get(campaign_id))


@router.post(
    "/campaigns/{campaign_id}/pause",
    summary="Dial nobody for now; calls on the line go on",
    responses=responses(401, 404, 409, 422, 500),
)
async def pause_campaign(campaign_id: str, request: Request) -> CampaignAnswer:
    campaigns = _campaigns(request)
    return await _answer(campaigns, await campaigns.pause(campaign_id))


@router.post(
    "/campaigns/{campaign_id}/resume",
    summary="Go on after a pause",
    responses=responses(401, 404, 409, 422, 500),
)
async def resume_campaign(campaign_id: str, request: Request) -> CampaignAnswer:
    campaigns = _campaigns(request)
    return await _answer(campaigns, await campaigns.resume(campaign_id))


@router.post(
    "/campaigns/{campaign_id}/cancel",
    summary="Dial nobody else, for good; calls on the line go on",
    responses=responses(401, 404, 409, 422, 500),
)
async def cancel_campaign(campaign_id: str, request: Request) -> CampaignAnswer:
    campaigns = _campaigns(request)
    return await _answer(campaigns, await campaigns.cancel(campaign_id))


@router.get(
    "/campaigns/{campaign_id}/bad-rows",
    summary="The rows of the upload that are not called, and why",
    responses=responses(401, 404, 422, 500),
)
async def list_bad_rows(
    campaign_id: str, query: Annotated[RowsQuery, Query()], request: Request
) -> BadRowsAnswer:
    campaigns = _campaigns(request)
    await campaigns.get(campaign_id)
    rows = list(await campaigns.store.bad_rows(campaign_id, after=query.after, limit=query.limit + 1))
    return BadRowsAnswer.of(rows, query.limit)


@router.get(
    "/campaigns/{campaign_id}/results",
    summary="What came of each contact, as JSON or CSV",
    response_model=ResultsAnswer,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A page, or the table."},
        **responses(401, 404, 422, 500),
    },
)
async def get_results(
    campaign_id: str, query: Annotated[ResultsQuery, Query()], request: Request
) -> ResultsAnswer | StreamingResponse:
    campaigns = _campaigns(request)
    campaign = await campaigns.get(campaign_id)
    accepts = request.headers.get("accept", "")
    if query.format == "csv" or (query.format is None and accepts.lower().startswith("text/csv")):
        return StreamingResponse(
            _table(request, campaign, query.after, query.delimiter),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{campaign_id}.csv"'},
        )
    results = list(await campaigns.store.results(campaign_id, after=query.after, limit=query.limit + 1))
    return ResultsAnswer.of(results, query.limit)


async def _table(request: Request, campaign: Campaign, after: int, separator: str) -> AsyncIterator[str]:
    campaigns = _campaigns(request)
    fields = campaigns.outcome_fields(campaign)
    yield MARK + written([header(campaign, fields)], separator)
    while results := await campaigns.store.results(campaign.campaign_id, after=after, limit=CSV_PAGE):
        rows = [row(result, campaign, fields, _recording_url(request, result)) for result in results]
        yield written(rows, separator)
        after = results[-1].contact.position


def _recording_url(request: Request, result: Result) -> str | None:
    if result.call is None or not result.call.recording:
        return None
    return request.url_for("get_recording", call_id=result.call.call_id).path


async def _answer(campaigns: Campaigns, campaign: Campaign) -> CampaignAnswer:
    progress = ProgressAnswer.of(await campaigns.progress(campaign.campaign_id))
    return CampaignAnswer.of(campaign, progress=progress)


def _campaigns(request: Request) -> Campaigns:
    return agent_of(request).campaigns


router.include_router(uploads)
