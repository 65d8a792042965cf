"""Voicemail, call screening, menus and carriers' announcements: what to do with each."""
