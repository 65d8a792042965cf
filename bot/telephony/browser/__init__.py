"""Calls without a phone: a browser that speaks Twilio's Media Streams, or a simulated callee."""
