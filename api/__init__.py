"""The edge: every process and protocol starts here, and nothing imports it."""
