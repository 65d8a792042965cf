"""Pages: see calls, hear them, hold one in the browser. Server-rendered, no build step, nothing from other hosts.

    from bot.web import install

    install(app)     # an app that has the routes of bot.api

The pages ask for the same keys as the API. What changes something is sent to the API by static/app.js.
"""

from bot.web.routes import install

__all__ = ["install"]
