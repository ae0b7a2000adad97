"""Owns the root of what ends a command and its operator can mend."""


class Failed(Exception):
    """The text says what is wrong and what to do about it, a line for each."""
