"""This machine in a vendor's place: a voice, three ears and a rule-based brain. Nothing here needs a key."""
