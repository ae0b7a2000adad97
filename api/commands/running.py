"""Owns what is around every command: its log, its failures, and Ctrl-C."""

import functools
from collections.abc import Callable
from typing import Any

Command = Callable[..., None]

STOPPED = "Stopped before it was done. Run it again: nothing is lost, and nothing happens twice."


def guarded(command: Command) -> Command:
    """The command, of which the operator hears in a line what they can mend (exit code 2) and that
    they stopped it (130). What nobody expected keeps its traceback."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            _run(functools.partial(command, *args, **kwargs))
        except KeyboardInterrupt:
            from api.commands import terminal

            terminal.give_up(STOPPED, terminal.INTERRUPTED)

    return run


def _run(command: Callable[[], None]) -> None:
    from api import logs
    from api.commands import terminal
    from api.failed import Failed
    from core.database import Unavailable
    from core.errors import Mistake
    from members.payees import Unreadable

    logs.configure()
    try:
        command()
    except (Failed, Mistake) as error:
        terminal.give_up(str(error))
    except Unreadable as error:
        terminal.give_up(f"{error} WELLSPRING_PAYEE_KEYS names those that open, the newest first.")
    except Unavailable as error:
        terminal.give_up(f"{error} WELLSPRING_DATABASE_URL names it.")
