"""Starts a shop to load, drives k6 at it, and says what came of it. Python's standard library alone."""
