"""`uv run server.py`: its options, and which process does what. What serves is imported only where it does."""

import argparse
import asyncio
import gc
from collections.abc import Sequence
from importlib import import_module

from bot.cli.workers import OPTION, Post, Workers, check, command
from bot.errors import PhoneAgentError
from bot.settings import Settings, load_settings
from bot.telemetry.logs import set_up


def main(arguments: Sequence[str] | None = None) -> None:
    """A setting or scenario that is wrong is said in one line, exit code 1."""
    parser = argparse.ArgumentParser(
        prog="server.py", description="The phone agent: API, webhooks, media streams."
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes behind the one port (WORKERS, or 1)")
    parser.add_argument(OPTION, type=Post.parse, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    try:
        settings = load_settings()
        set_up(settings.log_level, settings.log_format, secrets=settings.secrets)
        if chosen.workers is not None:
            settings = _with_workers(settings, chosen.workers)
        if chosen.worker is None and settings.workers > 1:
            check(settings)
            asyncio.run(_watch(settings))
        else:
            _serve(settings, chosen.worker)
    except PhoneAgentError as e:
        raise SystemExit(f"error: {e.message}") from None
    except KeyboardInterrupt:  # uvicorn raises Ctrl-C again once all is closed
        return


def _with_workers(settings: Settings, workers: int) -> Settings:
    if workers < 1:
        raise SystemExit("error: --workers needs a number from 1")
    return settings.model_copy(update={"workers": workers})


async def _watch(settings: Settings) -> None:
    await Workers(settings, command()).run()


def _serve(settings: Settings, post: Post | None) -> None:
    # What an import makes stays: to look for garbage in it is a seventh of its time. The app enables it again.
    gc.disable()
    server = import_module("bot.cli.server")
    gc.freeze()
    server.run(settings, post)
