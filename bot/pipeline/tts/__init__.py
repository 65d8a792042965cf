"""Text to speech: vendors, their fallback, and what ElevenLabs needs on a phone line."""
