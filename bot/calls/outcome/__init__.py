"""After a call: a model reads the transcript and fills the outcome, if the scenario's llm is one.

`Analyst` decides whether, and keeps the outcome; `form` words the request, `asking` sends it, `reading` judges
the answer. Until then, and where it fails, the outcome by rules stands (`finish`).
"""

from bot.calls.outcome.analyst import Analyst

__all__ = ["Analyst"]
