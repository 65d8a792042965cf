"""Speech to text: vendors, their fallback, and what Deepgram needs on a phone line."""
