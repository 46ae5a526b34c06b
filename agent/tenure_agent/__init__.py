"""The agent beside a serving container: ingest, store, summaries, checks, decisions, metrics."""

__version__ = "0.1.0"
