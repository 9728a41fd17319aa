"""Approve a business trip: rules raise flags, a flagged trip waits for a manager.

Why it exists: a run may wait for days. `request_approval` pauses it, the process ends, and another
process goes on when somebody has answered. The log keeps what was shown, who answered, and why.

    check_trip --> book
        |           ^
        v           |
    manager_review -+-> decline

A trip without flags is booked at once. The dates come with the request, so the same request is
judged alike today and in a year.
"""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, Field

from replayt import RunContext, Workflow, tool

HIGH_COST_CENTS = 150_000
NOTICE_DAYS = 14


class Trip(BaseModel):
    """A request as the form sends it."""

    traveller: str = Field(min_length=1, max_length=120)
    destination: str = Field(min_length=1, max_length=120)
    requested_on: date
    departs_on: date
    flight_cents: int = Field(ge=0)
    hotel_cents: int = Field(ge=0)


class Booking(BaseModel):
    """A trip that was booked."""

    reference: str
    total_cents: int


def total_of(trip: Trip) -> int:
    """What the trip costs, in cents."""
    return trip.flight_cents + trip.hotel_cents


def flags_of(trip: Trip) -> list[str]:
    """What makes a trip a manager's decision; empty for one that books itself."""
    flags = []
    if total_of(trip) > HIGH_COST_CENTS:
        flags.append("high_cost")
    if (trip.departs_on - trip.requested_on).days < NOTICE_DAYS:
        flags.append("late_notice")
    return flags


@tool
def book_trip(destination: str, total_cents: int, key: str) -> Booking:
    """Book with the travel agency; this example only returns what it would book."""
    return Booking(reference=f"{destination[:3].upper()}-{key[:6]}", total_cents=total_cents)


wf = Workflow("travel_approval", version="1")
wf.set_initial("check_trip")


@wf.step("check_trip", to=["book", "manager_review"], expects={"trip": dict})
def check_trip(ctx: RunContext) -> str:
    """Rules decide whether a person is asked at all."""
    flags = flags_of(Trip.model_validate(ctx.get("trip")))
    ctx.set("flags", flags)
    if flags:
        ctx.because("flagged: " + ", ".join(flags))
        return "manager_review"
    ctx.because("no flag")
    return "book"


@wf.step("manager_review", to=["book", "decline"])
def manager_review(ctx: RunContext) -> None:
    """Pause. The answer leads straight to one of the two states."""
    trip = Trip.model_validate(ctx.get("trip"))
    ctx.request_approval(
        "trip",
        summary=f"Send {trip.traveller} to {trip.destination} for {total_of(trip) / 100:.2f}?",
        details={"flags": ctx.get("flags"), "departs_on": trip.departs_on.isoformat()},
        on_approve="book",
        on_reject="decline",
    )


@wf.step("book")
def book(ctx: RunContext) -> None:
    """Reached with no flag, or with a manager's yes."""
    trip = Trip.model_validate(ctx.get("trip"))
    ctx.tools.register(book_trip)
    booking: Booking = ctx.tools.call(
        "book_trip",
        {
            "destination": trip.destination,
            "total_cents": total_of(trip),
            "key": ctx.idempotency_key,
        },
    )
    ctx.set("booking", booking)


@wf.step("decline")
def decline(ctx: RunContext) -> None:
    """Nothing is booked; the traveller is told which flags the manager saw."""
    ctx.set("reply", "The trip was declined (" + ", ".join(ctx.get("flags")) + ").")
