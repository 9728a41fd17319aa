"""`wf.check()` looks at what handlers' sources say, without running them."""

from __future__ import annotations

from pathlib import Path

from replayt_core import RunContext, Workflow


def _workflow() -> Workflow:
    wf = Workflow("checked")
    wf.set_initial("start")

    @wf.step("start", to=["left"])
    def start(ctx: RunContext) -> str:
        def helper() -> str:
            return "not a state of this handler"

        if ctx.get("odd"):
            return "right"
        return "left" if helper() else "nowhere"

    @wf.step("left")
    def left(ctx: RunContext) -> None:
        ctx.request_approval("go", on_approve="right")

    @wf.step("right")
    def right(ctx: RunContext) -> str:
        return ""

    wf.note_transition("left", "right")
    return wf


def test_literal_returns_that_are_not_declared_are_found_with_their_line() -> None:
    found = [f for f in _workflow().check() if f.code == "undeclared-move"]
    assert [f.subject for f in found] == ["start -> right", "start -> nowhere"]
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    for finding, text in zip(found, ('return "right"', 'else "nowhere"'), strict=True):
        line = int(str(finding).split(":")[1])
        assert text in lines[line - 1]
        assert "test_source_check.py:" in str(finding)


def test_a_declared_route_of_an_approval_is_no_finding() -> None:
    assert not [f for f in _workflow().check() if f.subject.startswith("left")]


def test_an_undeclared_route_of_an_approval_is_found() -> None:
    wf = Workflow("routes")
    wf.set_initial("gate")

    @wf.step("gate", to=["done"])
    def gate(ctx: RunContext) -> str:
        ctx.request_approval("go", on_approve="done", on_reject="elsewhere")
        return "done"

    @wf.step("done")
    def done(ctx: RunContext) -> None:
        return None

    assert [f.subject for f in wf.check()] == ["gate -> elsewhere"]


def test_a_handler_without_source_is_left_alone() -> None:
    wf = Workflow("made")
    wf.set_initial("a")
    namespace: dict[str, object] = {}
    exec("def a(ctx):\n    return 'zzz'\n", namespace)  # noqa: S102 a handler made at run time
    wf.step("a")(namespace["a"])  # type: ignore[type-var]
    assert wf.check() == []
