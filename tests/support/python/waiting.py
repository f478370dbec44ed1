"""Waiting for conditions: nothing here or in the tests waits for time alone."""
import time

PATIENCE_S = 60
LOOK_EVERY_S = 0.02


class Late(AssertionError):
    """The condition did not come true; the text says what was seen last."""


def waitFor(what, condition, patience=PATIENCE_S, details=lambda: ""):
    """Asks `condition` again and again until it gives something true, and gives that.

    `what`: ends the sentence "waited in vain until ...". What the condition raises counts as "not yet" when it is one
    of the errors of a program that is being started or stopped.
    """
    deadline = time.monotonic() + patience
    seen = None
    while True:
        try:
            seen = condition()
            if seen:
                return seen
        except (OSError, CommandFailed, KeyError, IndexError, StopIteration) as error:
            seen = error
        if time.monotonic() > deadline:
            raise Late(f"waited {patience} s in vain until {what}; seen last: {seen!r}\n{details()}")
        time.sleep(LOOK_EVERY_S)


class CommandFailed(Exception):
    """A command of ours ended with another exit code than wanted."""
