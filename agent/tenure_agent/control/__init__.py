"""Decisions on their way: the outbox, the signed event, and the reference control endpoint."""
