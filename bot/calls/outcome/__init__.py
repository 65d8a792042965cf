"""After a call: a model reads the transcript and fills the outcome, if the scenario's llm is one.

`Analyst` decides whether and keeps what comes of it; `form` words the request, `asking` sends it, `reading`
judges the answer. Until then, and where it fails, the outcome by rules stands (`wrap_up`).
"""

from bot.calls.outcome.analyst import Analyst

__all__ = ["Analyst"]
