"""The simulated carrier and its callees: Twilio's protocols with no account."""
