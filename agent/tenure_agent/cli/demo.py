"""`tenure-agent demo`: the main job on real flights."""

from __future__ import annotations

import click


@click.command()
def demo() -> None:
    """placeholder"""
