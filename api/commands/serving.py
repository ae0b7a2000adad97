"""Declares the commands that stay: `run`, `serve` and `worker`."""


def run() -> None:
    """Does it all in one process: migrates, fills an empty database with the demo, serves.

    The way to try Wellspring. It prints a link into the playground for each of
    the demo's people, keeps everything in var/, and Ctrl-C stops it. For an
    installation that is meant to last, use `migrate`, `serve` and `worker`.
    """
    from api import processes, trying
    from api.settings import load

    settings = load()
    processes.check_address(settings)
    trying.prepare(settings)
    processes.serve(settings)


def serve() -> None:
    """Serves GraphQL at /graphql, links at /r/CODE and pages at /c/SLUG.

    Listens on http://127.0.0.1:8000 unless WELLSPRING_HOST and WELLSPRING_PORT
    say otherwise, until Ctrl-C. The database has to be migrated before. With
    the broker memory:// the server carries the worker itself; with redis://
    run any number of `wellspring worker` beside it. docs/operations.md has
    every setting.
    """
    from api import processes
    from api.settings import load

    settings = load()
    processes.check_address(settings)
    processes.serve(settings)


def worker() -> None:
    """Credits what was accepted, beside any number of servers and other workers.

    It also publishes what is due, imports, and posts webhooks, until Ctrl-C.
    Needs a broker that processes can share, the same one as the servers:

    WELLSPRING_BROKER_URL=redis://127.0.0.1:6379/0 wellspring worker
    """
    from api import processes
    from api.settings import load

    processes.work(load())
