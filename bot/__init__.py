"""An AI phone agent: one request, one phone call, one record.

api/          the routes, the only place that knows the web framework; app.py serves them
phone_agent   everything one process holds · front_desk: calls asked for · doors: where the carrier finds us
switchboard   calls that ring and calls on the line · wrap_up: after a call
call          ONE CALL from answer to hang-up: puts its parts together, runs them, returns how it ended
conductor     its clock: pickup (who answered), opening, answering (machines), silence, replies (owed), farewell
toolbox       its tools · handover, transfers: what takes it off its stream · recorder, recording: what is kept
stages/       THE WAY OF THE AUDIO, a file a step: line vad stt barge_in turn context llm tts
scenario      pipelines/*.toml (scenario_parts: its tables) · prompt: what the model is told · slots: who fills
tools/        what the agent can do while talking
campaigns/    many calls under one policy: uploads, rules, rounds of dialling, results
webhooks/     events of calls, signed and carried to their owners until they arrive
engines/      this machine in a vendor's place · telephony/: who dials · store/: what is kept
languages/    phrases and word lists · records, audio, settings, errors: what all of them know
"""

import os

# Both are read when the libraries are first imported. OpenBLAS's threads spin on the cores that calls need;
# onnxruntime would keep an identifier of this machine and a queue of events to send.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
