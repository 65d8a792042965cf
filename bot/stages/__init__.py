"""The way of the audio through one call, a file a step.

line → vad → stt → turn → context → llm → tts → line. `media_protocol` and `playout` are the line's two
cores without I/O.
"""
