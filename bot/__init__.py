"""An AI phone agent: one request, one phone call, one record.

cli/           commands: serve, simulate, test, doctor
suites/        cases that try a scenario, calls in text and a clock that jumps, what was expected, reports
api/           HTTP and WebSocket routes, one noun a file; the only place that imports fastapi
calls/         a call from the request to its last webhook, around the line; agent.py puts the parts together
conversation/  ONE CALL on the line, answer to hang-up: opening, replies, machines, transfers, tools, scenario
pipeline/      THE WAY OF THE AUDIO, a folder a stage: line turns stt llm tts · offline/: local engines
telephony/     carriers: carrier.py says what one can do; twilio/, simulated/
store/         what is kept, in SQLite or PostgreSQL by one URL; durable/ = the durable engine
client/        the API's client, which imports nothing of the rest
languages/     phrases and word lists · telemetry/: logs, metrics, tracing
records        a call as it is asked for and kept · policy: how it is placed · settings, errors, audio
"""

import os

# Both are read when the libraries are first imported. OpenBLAS's threads spin on the cores that calls need;
# onnxruntime would keep an identifier of this machine and a queue of events to send.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
