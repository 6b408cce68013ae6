"""What a client reads about an error, and what the log has instead."""

from __future__ import annotations

import logging
import traceback

from autocog_core.errors import AutocogError
from autocog_core.server.request_errors import Problem, problem_of

logger = logging.getLogger(__name__)


def logged_problem(error: Exception, request_id: str) -> Problem:
    """Return what a client reads about an error; an error of the server is written to the log.

    The log has the text of an error of core or of a backend. Of any other error it has the kind and
    the place in the code: its text, which may quote a prompt, is in the traceback, which the log
    has at its level DEBUG.

    :param error: the error.
    :param request_id: the id of the request, by which its client can name it.
    """
    problem = problem_of(error)
    if problem.status == 500:
        if isinstance(error, AutocogError):
            logger.error("request %s: %s", request_id, error)
        else:
            innermost = traceback.extract_tb(error.__traceback__)[-1]
            logger.error(
                "request %s: %s in %s, line %s (--debug shows more)",
                request_id,
                type(error).__name__,
                innermost.filename,
                innermost.lineno,
            )
        logger.debug("request %s", request_id, exc_info=error)
    return problem
