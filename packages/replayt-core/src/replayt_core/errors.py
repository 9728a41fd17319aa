"""Everything replayt raises.

::

    ReplaytError
    ├── DefinitionError             a workflow, step, tool or policy is declared wrongly
    │   ├── VisitNotFoundError      no such visit in the run: nowhere to fork it
    │   └── WorkflowFileError       a workflow file breaks the rules of its format
    ├── InvalidRunIdError           a run id breaks the rule for run ids
    ├── NotJSONError                a value cannot be kept as JSON
    ├── ContextSchemaError          a step's `expects` is not met
    ├── TransitionError             a handler returned a state it may not go to
    ├── MaxStepsError               the loop guard ended the run
    ├── RunFailed                   a handler gives the run up, whatever retries are left
    ├── BudgetExceededError         the run has used up its budget of calls or tokens
    ├── LLMError                    a model call failed, by `kind`
    ├── ToolError                   a tool call failed, by `error_type`
    ├── NotReplayableError          live and served would differ
    ├── DeterminismError            the code asks for something else than the log recorded
    ├── ContextInUseError           `ctx` used where its use could not be replayed
    ├── StoreError                  something about the log
    │   ├── ConflictError           `after` is not the run's last seq; nothing was written
    │   ├── RunLockedError          another process executes the run
    │   ├── DamagedLogError         the log holds something that is not its next event
    │   ├── StoreWriteError         the log could not be written
    │   │   └── MirrorError         a mirror could not follow its primary
    │   └── StoreURLError           no store is known under that URL
    ├── RunNotFoundError            no such run
    ├── ApprovalNotFoundError       no such approval in the run
    └── RefusedError                not now: nothing was written, no handler ran
        ├── RunExistsError          the run id is used
        ├── RunEndedError           the run has ended and cannot go on this way
        ├── WorkflowChangedError    the workflow is not the one that was recorded
        ├── ApprovalConflictError   the approval was answered otherwise, or consumed
        ├── NotServableError        what the log does not hold cannot be served
        └── RedactedValueError      a value that was hidden is needed and was not handed in

Outside the tree, because `except Exception` must not swallow them: `ApprovalPending` and
`StepTimeout`.
Each message says what, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

LLMErrorKind = Literal[
    "auth",
    "rate_limit",
    "quota",
    "bad_request",
    "not_found",
    "server",
    "timeout",
    "connection",
    "protocol",
    "too_large",
    "error_in_200",
    "empty",
    "refusal",
    "truncated",
    "content_filter",
    "tool_calls_only",
    "not_json",
    "schema",
    "not_configured",
    "interrupted",
    "other",
]
"""Why a model call failed. The first groups come from the transport, the later ones from the
reply: `not_json` and `schema` say that a reply arrived and did not fit."""


class ReplaytError(Exception):
    """The root of everything replayt raises."""


class DefinitionError(ReplaytError):
    """A workflow, step, tool or policy is declared wrongly."""


class VisitNotFoundError(DefinitionError):
    """A run has no visit where it is to be forked, or its workflow has no such step any more."""


class WorkflowFileError(DefinitionError):
    """A workflow file breaks the rules of its format; `problems` has one line for each fault."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InvalidRunIdError(ReplaytError):
    """A run id is not 1 to 128 of `[A-Za-z0-9._-]`, or is reserved by some file system."""


class NotJSONError(ReplaytError):
    """A value cannot be kept as JSON; `path` says which one, for example `order.lines[2].at`."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class ContextSchemaError(ReplaytError):
    """A step's `expects` is not met: a context key is missing or has another type."""


class TransitionError(ReplaytError):
    """The `error.type` of a run whose handler returned no declared next state; never raised."""


class MaxStepsError(ReplaytError):
    """The `error.type` of a run that entered more than `max_steps` states; never raised."""


class RunFailed(ReplaytError):
    """Raise it in a handler to fail the run now, whatever retries are left."""


class BudgetExceededError(ReplaytError):
    """The run has used up its budget; `account` says what it has used.

    A handler may catch it, and the run fails all the same: everything else on `ctx` raises it too.
    """

    def __init__(self, message: str, *, account: Mapping[str, int] | None = None) -> None:
        super().__init__(message)
        self.account = dict(account or {})


class LLMError(ReplaytError):
    """A model call failed. `kind` says how; `status` is the HTTP status where there was one."""

    def __init__(
        self,
        kind: LLMErrorKind,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        fields: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.kind: LLMErrorKind = kind
        self.message = message
        self.status = status
        self.request_id = request_id
        self.fields = tuple(fields)


class ToolError(ReplaytError):
    """A tool call failed. The original exception is the `__cause__`, live only."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message


class NotReplayableError(ReplaytError):
    """What would be served from the log differs from what the handler would get live."""


class DeterminismError(ReplaytError):
    """The handler asks for something else than the log recorded at this place.

    `recorded` and `now` describe both; `seq` is the recorded event.
    """

    def __init__(self, message: str, *, recorded: str, now: str, seq: int | None = None) -> None:
        super().__init__(f"{message}\n  recorded: {recorded}\n  now:      {now}")
        self.what = message
        self.recorded = recorded
        self.now = now
        self.seq = seq


class ContextInUseError(ReplaytError):
    """`ctx` was used where its use could not be replayed: inside a tool, or after the step."""


class StoreError(ReplaytError):
    """Something about the log, by the classes below."""


class ConflictError(StoreError):
    """The run's last seq is not `after`: someone else wrote. Nothing was written."""


class RunLockedError(StoreError):
    """Another process (or another runner in this one) executes the run."""


class DamagedLogError(StoreError):
    """The log holds something that is not its next event.

    What stands before the damage stays readable. `run_id` and `where` say which log and place.
    """

    def __init__(self, message: str, *, run_id: str = "", where: str = "") -> None:
        super().__init__(message)
        self.run_id = run_id
        self.where = where


class StoreWriteError(StoreError):
    """The log could not be written: disk full, read-only, I/O error. The outcome is in the log."""


class MirrorError(StoreWriteError):
    """A mirror could not follow its primary, which has what the message says it has."""


class StoreURLError(StoreError):
    """No store is known under that URL, or the URL is malformed."""


class RunNotFoundError(ReplaytError):
    """The store has no run of that id."""


class ApprovalNotFoundError(ReplaytError):
    """The run has never asked for that approval."""


class RefusedError(ReplaytError):
    """Refused now: nothing was written and no handler ran."""


class RunExistsError(RefusedError):
    """The run id is used; a used run id is never started again."""


class RunEndedError(RefusedError):
    """The run has ended and cannot go on this way."""


class WorkflowChangedError(RefusedError):
    """Name, version or reachable graph of the workflow are not those that were recorded."""


class ApprovalConflictError(RefusedError):
    """The approval was answered otherwise, or its answer has been used."""


class NotServableError(RefusedError):
    """The log does not hold what a call returned, so the call cannot be served."""


class RedactedValueError(RefusedError):
    """The log has only the hash of a value that a handler would get; `keys` names its fields.

    Hand the values in again: `supplied={...}`, or `--set KEY=JSON`. `wrong` are those that were
    handed in and are not the recorded ones.
    """

    def __init__(self, keys: Sequence[str], *, wrong: Sequence[str] = ()) -> None:
        self.keys, self.wrong = tuple(keys), tuple(wrong)
        names = ", ".join(map(repr, self.keys))
        text = f"the log has only the hash of {names}: hand in what it was (--set KEY=JSON)"
        if self.wrong:
            text += f"; what was handed in for {', '.join(map(repr, self.wrong))} is something else"
        super().__init__(text)


class StepTimeout(BaseException):
    """A step, or its run, has used up its time.

    A `BaseException`, so that `except Exception` in a handler does not swallow it.
    """


class ApprovalPending(BaseException):
    """The pause signal of `ctx.request_approval`.

    A `BaseException`, so that `except Exception` in a handler does not swallow the pause.
    """

    def __init__(self, approval_id: str) -> None:
        super().__init__(approval_id)
        self.approval_id = approval_id
