"""Who may do what: one table. Every route names its action with `allow`, and a test refuses a route that does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fastapi import Depends, Request

from api.admission.lines import ChooseLine, requests
from api.admission.presence import PresenceDependency
from api.auth import CallerDependency, UnauthenticatedError, require_known
from api.caller import Caller
from api.dependencies import ServicesDependency
from api.rate_limits import Limits
from gift_core.errors import GiftError
from workers.account_records import Role, Scope

_ASK_FOR_OWNER = (
    "Ask an admin of this studio to make you an owner. Its operator names owners with GIFT_SIGN_IN_OWNERS and "
    "GIFT_SIGN_IN_ORGANIZATIONS."
)


class ForbiddenError(GiftError):
    """The caller is known and may not do this."""

    code = "forbidden"


# eq=False: two actions with like rules stay two members of the enumeration.
@dataclass(frozen=True, eq=False)
class Rule:
    """The least role and the scope that an action needs.

    `own`: below an admin, only on what the caller made. `logged`: goes into the audit log. `changes`: counts against
    the limit of changes. `computes`: takes one of the places for requests that compute. `examines`: takes one of those
    for looks at what has to be worked out first, such as scores. `open`: nobody is turned away.
    """

    role: Role
    scope: Scope
    own: bool = False
    logged: bool = False
    changes: bool = False
    computes: bool = False
    examines: bool = False
    open: bool = False


class Action(Enum):
    """Everything that can be asked of the studio."""

    ENTER = Rule(Role.VISITOR, Scope.READ, open=True)
    LOOK = Rule(Role.VISITOR, Scope.READ)
    EXAMINE = Rule(Role.VISITOR, Scope.READ, examines=True)
    TRY = Rule(Role.VISITOR, Scope.LAUNCH, changes=True, computes=True)
    CANCEL = Rule(Role.VISITOR, Scope.LAUNCH, own=True, changes=True)
    LAUNCH = Rule(Role.OWNER, Scope.LAUNCH, changes=True, logged=True)
    UPLOAD = Rule(Role.OWNER, Scope.LAUNCH, changes=True, logged=True, computes=True)
    # Asking how large a file may be that is about to be sent.
    OFFER = Rule(Role.OWNER, Scope.LAUNCH, changes=True)
    STOP = Rule(Role.OWNER, Scope.MANAGE, own=True, changes=True, logged=True)
    CHANGE = Rule(Role.OWNER, Scope.MANAGE, own=True, changes=True, logged=True)
    RUN_QUEUE = Rule(Role.ADMIN, Scope.MANAGE, changes=True, logged=True)
    MEASURE = Rule(Role.ADMIN, Scope.READ)
    DELETE = Rule(Role.OWNER, Scope.MANAGE, own=True, changes=True, logged=True)
    SEE_KEYS = Rule(Role.OWNER, Scope.MANAGE)
    MAKE_KEYS = Rule(Role.OWNER, Scope.MANAGE, changes=True, logged=True)
    REVOKE_KEYS = Rule(Role.OWNER, Scope.MANAGE, own=True, changes=True, logged=True)
    SEE_SESSIONS = Rule(Role.VISITOR, Scope.READ)
    END_SESSIONS = Rule(Role.VISITOR, Scope.MANAGE, own=True, changes=True, logged=True)
    SEE_ACCOUNTS = Rule(Role.ADMIN, Scope.ADMIN)
    CHANGE_ACCOUNTS = Rule(Role.ADMIN, Scope.ADMIN, changes=True, logged=True)

    @property
    def rule(self) -> Rule:
        return self.value

    @property
    def word(self) -> str:
        return self.name.lower()


# A dependency that finds the account that made the thing a route is about; "" or None where nobody is known to have.
OwnerOf = Callable[..., str | None]


def check(action: Action, caller: Caller, *, public: bool) -> None:
    """Whether this caller may do such a thing at all; raises `UnauthenticatedError` or `ForbiddenError`."""
    rule = action.rule
    if rule.open:
        return
    require_known(caller, public=public and caller.role.reaches(rule.role))
    if not caller.role.reaches(rule.role):
        remedy = _ASK_FOR_OWNER if rule.role is Role.OWNER else "Ask an admin of this studio."
        raise ForbiddenError(f"The role {caller.role} may not do this: it needs {rule.role}.", remedy=remedy)
    if rule.scope not in caller.scopes:
        raise ForbiddenError(
            f"This key is not for this: it has not the scope {rule.scope}.", remedy="Make a key with that scope."
        )


def refusal_of(action: Action, caller: Caller, *, public: bool) -> str:
    """Return why this caller may not do such a thing at all, in words; "" if it may."""
    try:
        check(action, caller, public=public)
    except (UnauthenticatedError, ForbiddenError) as error:
        return " ".join(filter(None, (error.problems[0].message, error.problems[0].remedy)))
    return ""


def check_owner(action: Action, caller: Caller, owner: str | None) -> None:
    """Whether this caller may do it to a thing that `owner` made; raises `ForbiddenError`."""
    if action.rule.own and not caller.is_admin and caller.known_as != owner:
        raise ForbiddenError(
            "Another account made this.", remedy="Ask them, or an admin of this studio. You can make your own."
        )


def allow(action: Action, owner_of: OwnerOf | None = None, line: ChooseLine = requests) -> Any:
    """The dependency that lets only those through whom the action's rule allows, and gives the `Caller`.

    `owner_of` says who made the thing that the route is about; an action on one's own things needs it. The request
    waits for its turn in `line`, and has it until the answer is there.
    """
    if action.rule.own and owner_of is None:
        raise TypeError(f"{action} is about one's own things: say how to find who made it.")

    async def entitled(request: Request, caller: CallerDependency, services: ServicesDependency) -> Caller:
        if caller.is_limited:
            services.limits.count(caller.known_as, changes=action.rule.changes)
        request.state.audit = (action, caller)
        check(action, caller, public=services.studio.settings.is_public)
        return caller

    async def allowed(
        services: ServicesDependency,
        presence: PresenceDependency,
        # Before the owner is looked for: who may not do such a thing at all does not learn what there is.
        caller: Caller = Depends(entitled),
        owner: str | None = Depends(owner_of or _nobody),
    ) -> AsyncIterator[Caller]:
        check_owner(action, caller, owner)
        turns = None if action.rule.open else line(services.lines)
        async with AsyncExitStack() as held:
            held.enter_context(_place(services.limits, caller, action.rule))
            if turns is not None:
                await held.enter_async_context(presence.followed())
                await held.enter_async_context(turns.awaited(caller.requester, presence.wait_for))
            yield caller

    allowed.action = action  # type: ignore[attr-defined]
    # The place is free again when the answer is there, not when it has been read.
    return Depends(allowed, scope="function")


def open_to_all() -> Any:
    """The dependency of what has to answer when nothing else does: it identifies no caller and needs no thread."""

    async def welcome() -> None: ...

    welcome.action = Action.ENTER  # type: ignore[attr-defined]
    return Depends(welcome)


def _place(limits: Limits, caller: Caller, rule: Rule) -> AbstractContextManager[None]:
    if rule.examines:
        return limits.look(caller.requester)
    if not rule.computes:
        return nullcontext()
    most = caller.quota("computations") if caller.is_limited else limits.places
    return limits.place(caller.requester, most)


async def _nobody() -> None:
    return None
