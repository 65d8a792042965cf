"""Carriers: who dials and carries lines. carrier.py is their contract."""
