"""What takes a call off its media stream: keys to press, and transfers to a person."""
