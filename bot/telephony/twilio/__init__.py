"""The Twilio carrier: REST, TwiML, signatures, Media Streams."""
