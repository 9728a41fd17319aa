"""`replayt doctor`: whether this machine is ready to run workflows, and with which settings."""

from __future__ import annotations

from replayt_cli.options import Debug, LogDir, Output, OutputAs, SQLiteMirror, StoreURL


def doctor(
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteMirror = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Check versions, model settings, the way to the provider, and where logs are written.

    The provider is asked for its list of models, where a call could be made. Exit code 1 when
    something that runs need is wrong; a missing key is only a warning. No key is ever shown.
    """
    from replayt_cli import exit_codes
    from replayt_cli.diagnosis import diagnose
    from replayt_cli.render.json import print_json
    from replayt_cli.render.text import echo, one_line, paint, width, wrap
    from replayt_cli.stores import choose_store

    findings = diagnose(choose_store(log_dir, store_url, mirror=sqlite))
    healthy = all(finding.level != "error" for finding in findings)
    if output is Output.json:
        document: dict[str, object] = {finding.name: finding.value for finding in findings}
        document["ok"] = healthy
        for level, name in (("error", "errors"), ("warning", "warnings")):
            document[name] = [
                f"{finding.name}: {finding.note}" for finding in findings if finding.level == level
            ]
        print_json(document)
    else:
        for finding in findings:
            line = f"{finding.name}: {one_line(finding.value)}"
            if finding.note:
                level = "" if finding.level == "ok" else f"{finding.level}: "
                line = f"{line}  ({level}{one_line(finding.note)})"
            for part in wrap(line, width(), indent=""):
                echo(part if finding.level == "ok" else paint(part, finding.level))
    return exit_codes.DONE if healthy else exit_codes.FAILED
