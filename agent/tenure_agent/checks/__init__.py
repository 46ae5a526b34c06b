"""Checks: windows of data to verdicts. Pure; the daemon reads the windows."""
