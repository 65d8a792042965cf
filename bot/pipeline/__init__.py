"""The way of the audio through one call, a folder a stage: line → turns → stt → llm → tts → line."""
