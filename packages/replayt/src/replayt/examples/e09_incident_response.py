"""Grade an alert and undo a release: tools gather, rules grade, a person releases.

Why it exists: at night the order of steps matters, and the next day someone asks who did what.
Reading is left to tools that may be repeated. Rolling back is a tool that may not, so it stands
behind an approval whose details are the facts that were gathered.

    gather --> propose_rollback --> roll_back
       |               |
       |               +----------> hand_over
       |                               ^
       +-------------------------------+
       |
       +-----> open_ticket
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from replayt import RunContext, Workflow, tool

Severity = Literal["sev1", "sev2", "sev3"]


class Alert(BaseModel):
    """What the monitoring sent."""

    service: str = Field(min_length=1, max_length=80)
    error_rate: float = Field(ge=0, le=1)
    minutes: int = Field(ge=0, description="How long it has been so.")


class Service(BaseModel):
    """An entry of the service catalogue."""

    team: str
    customer_facing: bool
    last_deploy: str | None = None
    """The release that went out within the last day, if one did."""


class Rollback(BaseModel):
    """A rollback that was started."""

    service: str
    undone: str


SERVICES = {
    "checkout": Service(team="Payments", customer_facing=True, last_deploy="checkout-2026.7"),
    "search": Service(team="Catalogue", customer_facing=True),
    "reports": Service(team="Data", customer_facing=False),
}


def severity_of(alert: Alert, service: Service) -> Severity:
    """`sev1` wakes people up: customers notice, a lot fails, and it does not pass by itself."""
    if service.customer_facing and alert.error_rate >= 0.2 and alert.minutes >= 5:
        return "sev1"
    return "sev2" if service.customer_facing and alert.error_rate >= 0.05 else "sev3"


@tool(idempotent=True)
def describe_service(name: str) -> Service:
    """The service catalogue's entry; an unknown service is nobody's and not customer facing."""
    return SERVICES.get(name, Service(team="On call", customer_facing=False))


@tool
def start_rollback(service: str, release: str) -> Rollback:
    """Undo a release; this example only returns what it would undo."""
    return Rollback(service=service, undone=release)


wf = Workflow("incident_response", version="1")
wf.set_initial("gather")


@wf.step("gather", to=["propose_rollback", "hand_over", "open_ticket"], expects={"alert": dict})
def gather(ctx: RunContext) -> str:
    """Look the service up, grade the alert, and choose the way by both."""
    alert = Alert.model_validate(ctx.get("alert"))
    ctx.tools.register(describe_service)
    service: Service = ctx.tools.call("describe_service", {"name": alert.service})
    severity = severity_of(alert, service)
    ctx.set("service", service)
    ctx.set("severity", severity)
    if severity == "sev3":
        ctx.because("sev3 can wait until the morning")
        return "open_ticket"
    if service.last_deploy is None:
        ctx.because(f"{severity}, and no release to undo")
        return "hand_over"
    ctx.because(f"{severity}, and {service.last_deploy} went out within the last day")
    return "propose_rollback"


@wf.step("propose_rollback", to=["roll_back", "hand_over"])
def propose_rollback(ctx: RunContext) -> None:
    """Wait for the person on call; the details are what they decide by."""
    ctx.request_approval(
        "rollback",
        summary=f"{ctx.get('severity')}: undo {ctx.get('service')['last_deploy']}?",
        details={"alert": ctx.get("alert"), "service": ctx.get("service")},
        on_approve="roll_back",
        on_reject="hand_over",
    )


@wf.step("roll_back")
def roll_back(ctx: RunContext) -> None:
    """Should the process die inside this tool, the resumed run asks before it undoes again."""
    ctx.tools.register(start_rollback)
    arguments = {
        "service": ctx.get("alert")["service"],
        "release": ctx.get("service")["last_deploy"],
    }
    done: Rollback = ctx.tools.call("start_rollback", arguments)
    ctx.set("rollback", done)


@wf.step("hand_over")
def hand_over(ctx: RunContext) -> None:
    """The team takes it from here, with everything that is known."""
    ctx.note("handed_over", f"{ctx.get('service')['team']} takes over.", data=ctx.get("alert"))


@wf.step("open_ticket")
def open_ticket(ctx: RunContext) -> None:
    """Nobody is woken up."""
    ctx.set("ticket", f"{ctx.get('alert')['service']}: look at the error rate")
