"""The commands: what `wellspring` takes on its command line, and what it says of it.

Each says here what it does and what it takes, and imports in its first lines what it needs for
that, not at the top of its file: `--help`, `--version`, completion and mistakes of typing wait for
none of the platform then, and no command for what only another one needs. What takes more than a
few lines to carry out has a module of its own in `api`, which imports like any other.
"""
