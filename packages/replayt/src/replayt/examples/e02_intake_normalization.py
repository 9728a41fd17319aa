"""Clean up what a contact form sent: rules only, and what cannot be cleaned goes back.

Why it exists: most of a workflow is not a model. What a rule can do should be a plain function
that is tested alone; the workflow says in which order, and the log says what was changed.

    normalize --> accept
        |
        +-------> send_back
"""

from __future__ import annotations

import re

from pydantic import BaseModel, Field

from replayt import RunContext, Workflow

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]{2,}")
COUNTRIES = {"germany": "DE", "deutschland": "DE", "france": "FR", "united kingdom": "GB"}
CALLING_CODES = {"DE": "+49", "FR": "+33", "GB": "+44"}


class Form(BaseModel):
    """What was typed, as it was typed."""

    name: str = Field(max_length=200)
    email: str = Field(max_length=320)
    country: str = Field(max_length=80)
    phone: str = Field(default="", max_length=40)


class Contact(BaseModel):
    """What the rest of the company can rely on."""

    name: str
    email: str
    country: str
    phone: str | None


def normalize_form(form: Form) -> tuple[Contact, list[str]]:
    """The form in one spelling, and what is wrong with it."""
    country = form.country.strip()
    code = COUNTRIES.get(country.lower(), country.upper())
    contact = Contact(
        name=" ".join(form.name.split()),
        email=form.email.strip().lower(),
        country=code,
        phone=normalize_phone(form.phone, CALLING_CODES.get(code, "")),
    )
    problems = []
    if not contact.name:
        problems.append("the name is empty")
    if not EMAIL.fullmatch(contact.email):
        problems.append(f"{contact.email!r} is no email address")
    if code not in CALLING_CODES:
        problems.append(f"{country!r} is no country that we deliver to")
    if form.phone.strip() and contact.phone is None:
        problems.append(f"{form.phone!r} is no phone number")
    return contact, problems


def normalize_phone(typed: str, calling_code: str) -> str | None:
    """The number with its calling code, or None where there is none."""
    digits = re.sub(r"[\s()/.-]", "", typed)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    elif digits.startswith("0"):
        digits = calling_code + digits[1:]
    return digits if re.fullmatch(r"\+\d{6,15}", digits) else None


wf = Workflow("intake_normalization", version="1")
wf.set_initial("normalize")


@wf.step("normalize", to=["accept", "send_back"], expects={"form": dict})
def normalize(ctx: RunContext) -> str:
    """The raw form stays in the inputs; the clean one gets a key of its own."""
    contact, problems = normalize_form(Form.model_validate(ctx.get("form")))
    ctx.set("contact", contact)
    ctx.set("problems", problems)
    if problems:
        ctx.because("; ".join(problems))
        return "send_back"
    ctx.because("every field is usable")
    return "accept"


@wf.step("accept")
def accept(ctx: RunContext) -> None:
    """A note is for whoever reads the log; the context is for the next step."""
    ctx.note("accepted", "The contact can be stored.", data=ctx.get("contact"))


@wf.step("send_back")
def send_back(ctx: RunContext) -> None:
    """Ends the run with the text to show beside the form."""
    ctx.set("reply", "Please look at this again: " + "; ".join(ctx.get("problems")) + ".")
