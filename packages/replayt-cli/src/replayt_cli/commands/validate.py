"""`replayt validate`: what is wrong with the graph of a workflow, all at once."""

from __future__ import annotations

from replayt_cli.arguments.options import Debug, Output, OutputAs, Target


def validate(target: Target, output: OutputAs = Output.text, debug: Debug = False) -> int:
    """Check a workflow: initial state, edges, handlers, reachability. No handler is run.

    Exit code: 0 when nothing is wrong, 1 when something is; the findings are on stderr.
    """
    from replayt_cli import exit_codes
    from replayt_cli.arguments.target import load_target
    from replayt_cli.render.json import print_json
    from replayt_cli.render.text import complain, count_of, echo, one_line

    workflow = load_target(target)
    findings = workflow.check()
    for finding in findings:
        placed = finding.message.startswith(f"{target}:")
        complain(finding.message if placed else f"{target}: {finding.message}")
    if output is Output.json:
        print_json(
            {
                "workflow": f"{workflow.name}@{workflow.version}",
                "ok": not findings,
                "initial": workflow.initial,
                "state_count": len(workflow.steps),
                "edge_count": len(workflow.edges),
                "findings": [
                    {"code": item.code, "subject": item.subject, "message": item.message}
                    for item in findings
                ],
            }
        )
    elif not findings:
        name = one_line(f"{workflow.name}@{workflow.version}")
        states, edges = len(workflow.steps), len(workflow.edges)
        echo(f"{name}: ok, {count_of(states, 'state')}, {count_of(edges, 'edge')}")
    return exit_codes.FAILED if findings else exit_codes.DONE
