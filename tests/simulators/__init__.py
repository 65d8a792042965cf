"""The vendors of a call, standing in on 127.0.0.1, each on its real wire protocol.

Each simulator is an async context manager with a `url` for the vendor's base URL, takes its script, latency
and faults as data, and records what it received. They follow the vendors' protocols, not what any client
needs: what a vendor refuses, they refuse.

deepgram.py     /v1/listen (nova) and /v2/listen (Flux) over WebSocket; its sessions are nova.py and flux.py
                over listen.py, its words come from stt_recogniser.py
anthropic.py    the Messages API: SSE and JSON, tools, validation, prompt cache accounting, errors; what it
                answers comes from llm_replies.py by pieces.py, what it refuses from messages.py
elevenlabs.py   multi-context speech WebSocket and HTTP routes; its sockets are contexts.py, its
                sound is tts_sound.py
twilio.py       the REST API for calls; the carrier behind it is the product's own simulated exchange
webhook_receiver.py  a customer's endpoint: verifies events, and fails, hangs or is down as it is told
faults.py       which connection, request or context gets which fault
serving.py      an aiohttp app on a loopback port, started and torn down
"""
