"""Small HTTP servers that speak the OpenAI-like dialects and answer from the `random` backend.

Each has its dialect's own fields, limits and refusals, so that the numbers a client ought to get
are known exactly: they are those of `Engine.model`. With `serving(server) as url:` one listens on
the loopback; `server.log` has the requests, `server.engine` counts the evaluated tokens.
"""
