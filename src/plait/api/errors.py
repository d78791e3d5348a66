"""Errors as clients read them: Kubernetes `Status` objects under /api and /apis, RFC 9457 problems under /plait.

Whatever is raised ends here. What Plait raises on purpose becomes its status code, reason and sentence; anything
else is a bug: the log gets the trace, the client a request id to quote.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from plait.errors import DeadlineError, InvalidInputError, PlaitError, RefusedError, UnreachableError
from plait.resources.violations import Violation

log = logging.getLogger(__name__)

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiError(RefusedError):
    """A refusal with a status code of its own; `details` are those of a Kubernetes Status."""

    def __init__(
        self, status: int, problem: str, remedy: str = "", *, details: Mapping[str, Any] | None = None, reason: str = ""
    ) -> None:
        super().__init__(problem, remedy)
        self.status = status
        self.reason = reason or _REASONS.get(status, "Invalid")
        self.details = details
        self.violations: tuple[object, ...] = ()


def answer(error: Exception, request_id: str) -> ApiError:
    """The refusal that an exception means to the client; bugs are logged with their trace."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, InvalidInputError):
        return invalid(error.violations)
    if isinstance(error, PlaitError):
        status, reason = _status_and_reason(error)
        return ApiError(status, error.problem, error.remedy, reason=reason)
    if isinstance(error, RecursionError):
        return ApiError(400, "the body is nested too deeply")
    log.error("request %s failed", request_id, exc_info=error)
    return ApiError(
        500,
        f"an internal error occurred (request {request_id})",
        "quote the request id; the server's log has the details",
    )


def _status_and_reason(error: PlaitError) -> tuple[int, str]:
    if isinstance(error, RefusedError):
        return error.status, error.reason
    if isinstance(error, UnreachableError):
        return 503, ""
    return (504, "") if isinstance(error, DeadlineError) else (422, "")


def invalid(violations: tuple[object, ...], *, subject: str = "", details: Mapping[str, Any] | None = None) -> ApiError:
    """The refusal of input that breaks rules, every violation a cause."""
    sentences = [_sentence(violation) for violation in violations]
    text = sentences[0] if len(sentences) == 1 else f"[{', '.join(sentences)}]"
    causes = [_cause(violation) for violation in violations]
    error = ApiError(
        422, f"{subject} is invalid: {text}" if subject else text, details={**(details or {}), "causes": causes}
    )
    error.violations = violations
    return error


def _sentence(violation: object) -> str:
    if not isinstance(violation, Violation):
        return str(violation)
    remedy = f"; {violation.remedy}" if violation.remedy else ""
    return f"{violation.path + ': ' if violation.path else ''}{violation.problem}{remedy}"


def _cause(violation: object) -> dict[str, str]:
    path = violation.path if isinstance(violation, Violation) else ""
    message = violation.problem if isinstance(violation, Violation) else str(violation)
    return {"reason": "FieldValueInvalid", "message": message, "field": path}


def status_document(error: ApiError) -> dict[str, Any]:
    """The error as a Kubernetes Status."""
    document: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": str(error),
        "reason": error.reason,
        "code": error.status,
    }
    if error.details:
        document["details"] = dict(error.details)
    return document


def problem_document(error: ApiError, request_id: str) -> dict[str, Any]:
    """The error as an RFC 9457 problem, with every violation."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.problem,
        "remedy": error.remedy,
        "reason": error.reason,
        "request": request_id,
        "violations": [violation_document(violation) for violation in error.violations],
    }


def violation_document(violation: object) -> dict[str, Any]:
    """A violation as JSON."""
    if not isinstance(violation, Violation):
        violation = Violation(problem=str(violation))
    return {
        "file": violation.file,
        "line": violation.line,
        "resource": violation.resource,
        "path": violation.path,
        "problem": violation.problem,
        "remedy": violation.remedy,
    }
