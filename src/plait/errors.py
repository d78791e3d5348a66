"""The exceptions Plait raises on purpose, as one tree.

    PlaitError
    ├── InvalidInputError        the user's input is wrong            exit 1   carries every violation
    ├── RefusedError             understood, but not allowed          exit 4
    │   ├── NotFoundError        the object does not exist
    │   ├── AlreadyExistsError   an object of that name exists
    │   ├── ConflictError        the object changed since it was read
    │   ├── ForbiddenError       the caller may not do that
    │   ├── GoneError            the requested revision was compacted away
    │   └── StorageError         the store could not be written (disk full, no permission)
    ├── UnreachableError         no mesh answers there                exit 3
    └── DeadlineError            it took too long                     exit 5

Everything else that is raised is a bug: it ends its task, and the supervisor restarts and counts it.
A user's mistake inside a document is never an exception on its own but a `resources.violations.Violation`.
"""

from collections.abc import Sequence


class PlaitError(Exception):
    """Something a user can be told: `problem` says what is wrong, `remedy` how to mend it."""

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy


class InvalidInputError(PlaitError):
    """The input is wrong; `violations` lists every mistake found (each prints as one line)."""

    exit_code = 1

    def __init__(self, violations: Sequence[object]) -> None:
        super().__init__("\n".join(str(violation) for violation in violations))
        self.violations = tuple(violations)


class RefusedError(PlaitError):
    """The request was understood and refused; `reason` is the Kubernetes Status reason."""

    exit_code = 4
    reason = "Invalid"
    status = 422


class NotFoundError(RefusedError):
    """The object does not exist."""

    reason = "NotFound"
    status = 404


class AlreadyExistsError(RefusedError):
    """An object of that name exists already."""

    reason = "AlreadyExists"
    status = 409


class ConflictError(RefusedError):
    """The object changed since the caller read it."""

    reason = "Conflict"
    status = 409


class ForbiddenError(RefusedError):
    """The caller may not do that."""

    reason = "Forbidden"
    status = 403


class GoneError(RefusedError):
    """The revision asked for was compacted away: list again."""

    reason = "Expired"
    status = 410


class StorageError(RefusedError):
    """The store could not be written; nothing was changed."""

    reason = "InsufficientStorage"
    status = 507


class UnreachableError(PlaitError):
    """No mesh answers at the address in use."""

    exit_code = 3


class DeadlineError(PlaitError):
    """The operation did not finish within its time limit."""

    exit_code = 5
