"""Drills: something is broken on purpose while shoppers shop, and it is told what came of it."""
