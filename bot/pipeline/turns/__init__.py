"""Turn taking: voice activity, end of turn, barge-in, speculation, the context."""
