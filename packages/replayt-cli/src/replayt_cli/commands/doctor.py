"""`replayt doctor`: whether this machine is ready to run workflows, and with which settings."""

from __future__ import annotations

from replayt_cli.arguments.options import Debug, LogDir, Output, OutputAs, SQLiteMirror, StoreURL


def doctor(
    log_dir: LogDir = None,
    store_url: StoreURL = None,
    sqlite: SQLiteMirror = None,
    output: OutputAs = Output.text,
    debug: Debug = False,
) -> int:
    """Check versions, settings, the model's host and where logs go.

    Each setting is shown with where it comes from: an option, a variable of the environment, the
    project's configuration, or the default. The provider is asked for its list of models, where a
    call could be made. Exit code 1 when something that runs need is wrong; a missing key is only a
    warning. No key is ever shown.
    """
    from replayt_cli import exit_codes
    from replayt_cli.arguments.store_choice import choose_store
    from replayt_cli.project.config import Config, ConfigError
    from replayt_cli.project.doctor import diagnose
    from replayt_cli.render.doctor import findings_document, print_findings
    from replayt_cli.render.json import print_json

    problem = None
    try:
        choice = choose_store(log_dir, store_url, mirror=sqlite)
    except ConfigError as error:
        # Every other command refuses; this one is there to say all that is wrong at once.
        problem = str(error)
        choice = choose_store(log_dir, store_url, mirror=sqlite, config=Config())
    findings = diagnose(choice, config_problem=problem)
    if output is Output.json:
        print_json(findings_document(findings))
    else:
        print_findings(findings)
    healthy = all(finding.level != "error" for finding in findings)
    return exit_codes.DONE if healthy else exit_codes.FAILED
