"""`python -m tenure_agent` is `tenure-agent`."""

from tenure_agent.cli import main

main(prog_name="tenure-agent")
