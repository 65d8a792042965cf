"""The phone network: who dials (Twilio, or the offline carrier), TwiML, signatures, the simulated callee."""
