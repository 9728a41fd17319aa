"""`main`: parse the command line, run one command, say what went wrong in one line, exit."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module

import typer
from typer.core import TyperCommand

from replayt_cli import exit_codes
from replayt_cli.arguments.help_examples import epilog
from replayt_cli.arguments.options import VARIABLES, Debug, OptionalText
from replayt_cli.render.text import complain, use_safe_streams
from replayt_cli.streams import fill_closed_streams

# Set by the scripts of --show-completion; replayt_cli.completion.answer reads what goes with it.
_COMPLETE = "_REPLAYT_COMPLETE"

COMMAND_NAMES = (
    "run",
    "resume",
    "inspect",
    "replay",
    "report",
    "why",
    "diff",
    "verify",
    "fork",
    "pin",
    "runs",
    "stats",
    "query",
    "gc",
    "graph",
    "validate",
    "examples",
    "init",
    "doctor",
)
GROUP_NAMES = ("store",)


def commands(names: Iterable[str] = COMMAND_NAMES) -> list[Callable[..., int]]:
    """The commands of these names: the function of that name in its module of `commands`."""
    return [getattr(import_module(f"replayt_cli.commands.{name}"), name) for name in names]


def groups(names: Iterable[str] = GROUP_NAMES) -> list[typer.Typer]:
    """The groups of commands of these names."""
    return [import_module(f"replayt_cli.commands.{name}").group for name in names]


@dataclass
class Invocation:
    """What one call of `main` was told besides the command."""

    debug: bool = False


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"replayt-cli {version('replayt-cli')}")
        raise typer.Exit


def _show_completion(shell: str | None) -> None:
    if shell is None:
        return
    from replayt_cli.completion.scripts import SHELLS, script

    name = {"pwsh": "powershell"}.get(shell, shell)
    if name not in SHELLS:
        raise typer.BadParameter(f"{shell!r:.40} is none of {', '.join(SHELLS)}")
    typer.echo(script(name), nl=False)
    raise typer.Exit


def _root(
    ctx: typer.Context,
    debug: Debug = False,
    version: bool = typer.Option(
        False, "--version", help="Show the version.", callback=_show_version, is_eager=True
    ),
    show_completion: OptionalText = typer.Option(
        None,
        "--show-completion",
        metavar="bash|zsh|fish|powershell",
        help="Show the script that teaches a shell to complete; it says where it goes.",
        callback=_show_completion,
        is_eager=True,
        show_default=False,
    ),
) -> int:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
    return exit_codes.DONE


class _Command(TyperCommand):
    """A command whose usage has its metavars as they are written, in every release of typer."""

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        arguments = (one for one in self.params if one.param_type_name == "argument")
        return [self.options_metavar or "", *(str(one.metavar) for one in arguments)]


def application(
    with_commands: Iterable[Callable[..., int]], with_groups: Iterable[typer.Typer]
) -> typer.Typer:
    """The command line with these commands and groups."""
    made = typer.Typer(
        name="replayt",
        help="Run workflows whose every step is logged; show, verify, resume and fork their runs.",
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},  # the commands inherit it
    )
    made.callback(invoke_without_command=True)(_root)
    for command in with_commands:
        made.command(cls=_Command, epilog=epilog(command.__name__))(command)
    for group in with_groups:
        for part in group.registered_commands:
            part.cls = _Command
            part.epilog = epilog(f"{group.info.name} {getattr(part.callback, '__name__', '')}")
        made.add_typer(group, epilog=epilog(str(group.info.name)))
    return made


def _called(words: Sequence[str]) -> typer.Typer:
    """The application with the one command that is called, where that can be told.

    For typer looks at the signatures of all that it knows, which takes longer than `runs`.
    """
    name = next((word for word in words if not word.startswith("-")), None)
    if name in COMMAND_NAMES:
        return application(commands([name]), [])
    if name in GROUP_NAMES:
        return application([], groups([name]))
    return application(commands(), groups())


def _named_alone(words: Sequence[str]) -> Callable[[], int] | None:
    """The command to call where the line is its name and no more, so that nothing is to be parsed.

    For typer imports pydantic to parse even an option that is not given, which takes as long as
    the rest of an empty `runs`.
    """
    if len(words) != 1 or words[0] not in COMMAND_NAMES:
        return None
    if any(name in os.environ for name in VARIABLES):
        return None
    (command,) = commands(words)
    parameters = inspect.signature(command).parameters.values()
    return None if any(one.default is one.empty for one in parameters) else command


def _run(words: Sequence[str], invocation: Invocation) -> object:
    """Call the command that the words name, and return what it returned."""
    command = _named_alone(words)
    if command is not None:
        return command()
    return _called(words)(
        args=list(words), prog_name="replayt", standalone_mode=False, obj=invocation
    )


def _complete() -> int:
    """Tell a shell what may come next, as the scripts of `--show-completion` ask."""
    from replayt_cli.completion.answer import answer_quietly
    from replayt_cli.completion.words import Candidate, first_sentence

    helps = {command.__name__: command.__doc__ for command in commands()}
    helps |= {str(group.info.name): str(group.info.help) for group in groups()}
    summary = [Candidate(value=name, help=first_sentence(text)) for name, text in helps.items()]
    answer_quietly(os.environ, lambda words: typer.main.get_command(_called(words)), summary)
    return exit_codes.DONE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    invocation = Invocation()
    fill_closed_streams()
    use_safe_streams()
    if argv is None and _COMPLETE in os.environ:
        return _complete()
    try:
        words = sys.argv[1:] if argv is None else list(argv)
        code = _run(words, invocation)
        sys.stdout.flush()
        if argv is None:
            _ignore_interrupts()
    except BaseException as error:
        if argv is None:
            _ignore_interrupts()
        return _end(error, debug=invocation.debug)
    return code if isinstance(code, int) else exit_codes.DONE


def _ignore_interrupts() -> None:
    """The process is ours and about to exit: one more Ctrl-C must not change the exit code."""
    with contextlib.suppress(ValueError):  # not the main thread, which alone hears signals
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(error: BaseException, *, debug: bool) -> int:
    """Say what went wrong and return the exit code that goes with it."""
    from replayt_cli.errors import OutputClosed, Terminated

    # A closed pipe that typer met itself, showing a help, it hands on as an exit.
    if isinstance(error, OutputClosed | BrokenPipeError) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    ):
        _forget_stdout()
        return exit_codes.SIGNAL + getattr(signal, "SIGPIPE", 13)
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return exit_codes.SIGNAL + signal.SIGINT
    if isinstance(error, Terminated):
        return exit_codes.SIGNAL + error.signum
    if isinstance(error, SystemExit):
        # A workflow's own code called sys.exit(); its code means something else than ours.
        complain(f"the workflow's code called sys.exit({error.code!r})")
        return exit_codes.FAILED
    if hasattr(error, "format_message"):
        return _end_usage(error)
    from replayt_core.errors import ReplaytError

    if isinstance(error, ReplaytError):
        complain(str(error))
    elif isinstance(error, OSError):
        complain(f"{error.filename or _unnamed()}: {error.strerror or error}")
    else:
        complain(
            f"unexpected {type(error).__name__}: {error}; --debug shows where, please report it"
        )
    return exit_codes.for_error(error)


def _unnamed() -> str:
    """What an error is about that names no file: the working directory, where it is gone."""
    try:
        os.getcwd()
    except OSError:
        return "the working directory is gone, go to another"
    return "input or output"


def _end_usage(error: BaseException) -> int:
    """An error of typer's parser. Told by its attributes: typer does not export its classes."""
    path = getattr(getattr(error, "ctx", None), "command_path", "replayt")
    message = str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
    message = message.replace("Value error, ", "", 1)  # so some releases of typer begin a reason
    end = "" if message.endswith("?") else "."
    complain(f"{message}{end} See `{path} --help`")
    code = getattr(error, "exit_code", exit_codes.FAILED)
    return exit_codes.USAGE if code == 2 else int(code)


def _forget_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's own last flush stays quiet."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
