"""Realtime predictions: every one begins, is concluded, counted and logged here."""
