"""Local engines: a voice, two recognisers, the scripted STT and a rule-based LLM. None needs a key."""
