# SPDX-License-Identifier: MIT
"""The commands and their options, and the way from a command line to the function that runs it."""

from __future__ import annotations

import argparse
import difflib
import io
import os
import re
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

USAGE = 64  # the exit status for a command line that makes no sense; 2 means that an execution was stopped

EPILOG = """\
exit status:
  0    done; of an execution that was waited for: it succeeded
  1    it failed; of lint and the diffs: something was found
  2    it was stopped, superseded or cancelled
  3    the time limit passed
  4    the service refused, or could not be asked
  64   the command line makes no sense
  130  Ctrl-C; what runs at the service goes on

Try all of it without an account: codepipeline --emulator ls
"""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if message.endswith("required: OPERATION"):
            from .call_help import text

            self.exit(USAGE, text(self, None))
        unknown = re.match(r"argument COMMAND: invalid choice: '([^']*)'", message)
        if unknown:
            close = difflib.get_close_matches(unknown[1], re.findall(r"'([^']+)'", message)[1:], 2)
            meant = f"did you mean {' or '.join(close)}?" if close else "codepipeline --help lists them"
            if re.match(r"(localhost|[\d.]+|\[[\da-f:]+\]):\d+", unknown[1]):
                meant = f"did you mean --emulator http://{unknown[1]}?"
            elif unknown[1] in complete_operations():
                meant = f"did you mean codepipeline call {unknown[1]}?"
            self.exit(USAGE, f'codepipeline: "{unknown[1]}" is no command; {meant}\n')
        message = message.replace("invalid _seconds value", "not a number of seconds above 0")
        message = message.replace("invalid int value", "not a whole number")
        message = message.replace("invalid _count value", "not a whole number above 0")
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


class Commands:
    """Adds commands to a parser; each knows its function by name, so that its module is loaded only to run it."""

    def __init__(self, parser: Parser, shared: Parser) -> None:
        self._shared = shared
        self.made: list[Parser] = []
        self._of = parser.add_subparsers(
            prog=parser.prog, metavar="COMMAND", dest="command", required=True, parser_class=Parser
        )

    def add(self, name: str, run: str, text: str, **more: Any) -> Parser:
        parents = [self._shared]
        parser: Parser = self._of.add_parser(
            name, help=text, description=text.capitalize() + ".", parents=parents, **more
        )
        parser.set_defaults(run=run)
        self.made.append(parser)
        return parser

    def end(self) -> None:
        """Says in one line how each is used; the options are in its help."""
        for parser in self.made:
            if parser.usage is None:
                words = [_shown(action) for action in parser._get_positional_actions()]
                parser.usage = " ".join([parser.prog, "[OPTION]...", *words])


def _shown(action: argparse.Action) -> str:
    name = str(action.metavar)
    return {"?": f"[{name}]", "*": f"[{name}]...", "+": f"{name}..."}.get(str(action.nargs), name)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e9:
        raise ValueError
    return seconds


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


def _shared() -> Parser:
    """What every command takes; no defaults, so that they may stand before the command as well as after it."""
    parser = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = parser.add_argument_group("where, and how it is told")
    group.add_argument("--region", help="default: AWS_REGION, the profile's")
    group.add_argument("--profile", help="default: AWS_PROFILE")
    group.add_argument("--endpoint-url", metavar="URL", help="where the service is")
    group.add_argument(
        "--emulator", metavar="URL", help="the emulator there; without URL one with demo data is started"
    )
    group.add_argument("--json", action="store_true", help="print JSON")
    group.add_argument("--query", metavar="EXPR", help="print what a JMESPath expression finds in that JSON")
    return parser


def _waiting(parser: Parser, wait: bool = True) -> None:
    if wait:
        parser.add_argument(
            "-w", "--wait", action="store_true", help="follow it to its end, whose status is the exit status"
        )
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="give up waiting after so long, status 3")
    parser.add_argument(
        "--interval", type=_seconds, metavar="SECONDS", help="between two polls; default 5, less while it moves"
    )


def _name(parser: Parser, **more: Any) -> None:
    action = parser.add_argument("name", metavar="NAME", help="the pipeline", **more)
    action.completer = complete_pipelines  # type: ignore[attr-defined]


def _word(parser: Parser, dest: str, choices: list[str], text: str) -> None:
    """One of a few words; what is said of it names them."""
    parser.add_argument(dest, choices=choices, metavar="|".join(choices), help=text)


def _execution(parser: Parser) -> None:
    parser.add_argument("execution", metavar="EXECUTION", nargs="?", help="its id; default: the latest one")


def _add_looking(commands: Commands) -> None:
    commands.add("ls", "look:ls", "list the pipelines, and how they are")
    parser = commands.add("show", "look:show", "draw a pipeline")
    _name(parser)
    parser = commands.add("history", "look:history", "list executions, the newest first")
    _name(parser)
    parser.add_argument("-n", "--limit", type=int, default=20, metavar="N", help="how many (20)")
    parser = commands.add("explain", "look:explain", "say why an execution is stuck, or how it ended")
    _name(parser)
    _execution(parser)
    parser = commands.add("diff", "look:diff", "compare two versions of a pipeline")
    _name(parser)
    parser.add_argument("old", metavar="V1", type=int, nargs="?", help="default: the one before V2")
    parser.add_argument("new", metavar="V2", type=int, nargs="?", help="default: the latest")
    parser = commands.add(
        "metrics", "look:metrics", "say how often pipelines deliver, how long it takes, how often it fails"
    )
    _name(parser, nargs="*")
    parser.add_argument("--since", default="30d", metavar="AGE", help="how far back: 12h, 30d, 8w or a date (30d)")


def _add_acting(commands: Commands) -> None:
    parser = commands.add("start", "act:start", "start an execution")
    _name(parser)
    parser.add_argument(
        "--var", action="append", default=[], metavar="K=V", help="a pipeline variable; may be repeated"
    )
    parser.add_argument(
        "--revision",
        action="append",
        default=[],
        metavar="[ACTION=][TYPE:]VALUE",
        help="a source revision: a commit, an image digest, an object's version; may be repeated",
    )
    _waiting(parser)
    parser = commands.add("watch", "act:watch", "follow an execution to its end")
    _name(parser, nargs="?")
    _execution(parser)
    _waiting(parser, wait=False)
    for name, text in (("approve", "approve what waits for it"), ("reject", "reject what waits for approval")):
        parser = commands.add(name, f"act:{name}", text)
        _name(parser, nargs="?")
        parser.add_argument("--stage", help="only in this stage")
        parser.add_argument("--action", help="only this action")
        parser.add_argument("-m", "--summary", default="", help="a word of explanation")
        parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser = commands.add("retry", "act:retry", "run a failed stage again")
    _name(parser)
    parser.add_argument("stage", metavar="STAGE", nargs="?", help="default: the one that failed")
    parser.add_argument("--execution", metavar="ID", help="default: the latest one")
    parser.add_argument("--all-actions", action="store_true", help="those that succeeded too")
    _waiting(parser)
    parser = commands.add("rollback", "act:rollback", "run a stage again as an earlier execution ran it")
    _name(parser)
    parser.add_argument("stage", metavar="STAGE", help="the stage")
    parser.add_argument("--to", metavar="ID", help="the execution; default: the one before that succeeded there")
    _waiting(parser)
    parser = commands.add("stop", "act:stop", "stop an execution")
    _name(parser)
    _execution(parser)
    parser.add_argument("--abandon", action="store_true", help="do not wait for the actions under way")
    parser.add_argument("--reason", help="why")
    _waiting(parser)
    parser = commands.add("transition", "act:transition", "let executions into a stage, or hold them in front of it")
    _word(parser, "state", ["on", "off"], "let them in, or hold them")
    _name(parser)
    parser.add_argument("stage", metavar="STAGE", help="the stage")
    parser.add_argument("--reason", help="why it is off")


def _add_tools(commands: Commands) -> None:
    parser = commands.add("lint", "check:lint", "say what the service would refuse a pipeline for, without asking it")
    parser.add_argument("files", metavar="FILE", nargs="+", help="JSON or YAML; - is the standard input")
    _add_call(commands)
    commands.add("doctor", "check:doctor", "say what keeps a client from working, and where each setting is from")
    parser = commands.add("worker", "worker:main", "run a job worker")
    _word(parser, "verb", ["run"], "run it until SIGTERM or Ctrl-C")
    parser.add_argument("target", metavar="MODULE:WORKER", help="a codepipeline.Worker, by the module it is in")
    _add_action_type(commands)
    commands.add("emulator", "", "run the emulator: the codepipeline-emulator command", add_help=False)
    commands.add("event", "", "print an event as Lambda gets it: the codepipeline-event command", add_help=False)
    parser = commands.add("completion", "check:completion", "print the lines that teach a shell to complete")
    _word(parser, "shell", ["bash", "zsh", "fish"], "which shell")


class _CallHelp(argparse.Action):
    """What the operation before it takes, or all operations."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        from .call_help import text
        from .session import Misuse

        try:
            told = text(parser, namespace.operation)
        except Misuse as error:
            parser.exit(USAGE, f"codepipeline: {error}\n")
        print(told, end="")
        parser.exit()


def _add_call(commands: Commands) -> None:
    parser = commands.add(
        "call",
        "call:call",
        "run any operation",
        usage="codepipeline call OPERATION [--PARAMETER VALUE]...",
        epilog="codepipeline call OPERATION --help tells what an operation takes, answers and refuses.",
        add_help=False,
        allow_abbrev=False,
    )
    action = parser.add_argument(
        "operation", metavar="OPERATION", help="list-pipelines, ListPipelines or list_pipelines"
    )
    action.completer = complete_operations  # type: ignore[attr-defined]
    parser.add_argument("-h", "--help", action=_CallHelp, nargs=0, help="show this, or an operation's help, and exit")
    parser.add_argument(
        "--params",
        "--cli-input-json",
        metavar="JSON",
        help="all parameters at once; file://PATH or @PATH reads them from there, - from the standard input",
    )
    parser.add_argument(
        "--generate-skeleton",
        "--generate-cli-skeleton",
        nargs="?",
        const="input",
        choices=["input", "output"],
        metavar="input|output",
        help="ask nothing; print JSON to fill in for --params, or what the answer will look like",
    )
    parser.add_argument("--output", choices=["json", "text", "table"], default="json", help="default: json")
    parser.add_argument("--max-items", type=_count, metavar="N", help="of an operation with pages: stop after so many")
    parser.add_argument("--starting-token", metavar="TOKEN", help="go on where --max-items stopped: its NextToken")
    parser.add_argument("--no-paginate", action="store_true", help="one page; default: all")


def _add_action_type(commands: Commands) -> None:
    parser = commands.add("action-type", "action_type:main", "make a custom action type from a handler's signature")
    _word(parser, "verb", ["new", "register", "diff"], "print it, create it, or compare it with the account's")
    parser.add_argument("target", metavar="MODULE:HANDLER", help="the function that handles its jobs")
    parser.add_argument(
        "--category", default="Build", choices=["Source", "Build", "Test", "Deploy", "Invoke", "Approval"]
    )
    parser.add_argument("--provider", help="default: the handler's name")
    parser.add_argument("--version", default="1", help="of the action type (1)")
    parser.add_argument("--inputs", metavar="N[-N]", help="how many input artifacts; default: as the signature says")
    parser.add_argument("--outputs", metavar="N[-N]", help="the same for output artifacts")
    parser.add_argument(
        "--format", choices=["json", "cloudformation", "policy"], default="json", help="of new: what it prints (json)"
    )


def make() -> Parser:
    """The whole parser; the manual page is made from it as well."""
    shared = _shared()
    parser = Parser(
        prog="codepipeline",
        usage="codepipeline [OPTION]... COMMAND [ARGUMENT]...",
        description="AWS CodePipeline from the terminal.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared],
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = Commands(parser, shared)
    _add_looking(commands)
    _add_acting(commands)
    _add_tools(commands)
    commands.end()
    return parser


def _version() -> str:
    from .. import __version__

    return f"codepipeline {__version__}"


def _meant(parser: Parser, command: str, wrong: str) -> str:
    """What an unknown option of a command may have been meant for."""
    if re.match("--output(=|$)", wrong):
        return "; did you mean --json? --output is for codepipeline call"
    commands = parser._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    known = list(commands[command]._option_string_actions)  # type: ignore[index]
    close = difflib.get_close_matches(wrong.partition("=")[0], known, 1)
    return f"; did you mean {close[0]}?" if close else f"; codepipeline {command} --help lists its options"


def complete_pipelines(**given: Any) -> list[str]:
    """For the shell: the names of the pipelines, or nothing where they cannot be had."""
    from .session import Session

    try:
        with Session(given["parsed_args"]) as session:
            return [item["name"] for item in session.client.paginate("list_pipelines")]
    except Exception:  # a completion says nothing of what goes wrong
        return []


def complete_operations(**unused: Any) -> list[str]:
    """For the shell: the names of all operations."""
    from .. import _core

    return [row[1].replace("_", "-") for row in _core.operations()]


def _complete(parser: Parser) -> None:
    """Answers the shell, and ends the program; an operation that is on the line already has its parameters."""
    import argcomplete

    _, call, rest = os.environ.get("COMP_LINE", "").partition(" call ")
    if call and " " in rest.lstrip():
        from .call import described
        from .call_help import add_parameters
        from .session import Misuse

        commands = parser._subparsers._group_actions[0].choices  # type: ignore[union-attr]
        try:
            add_parameters(commands["call"], described(rest.split()[0]))  # type: ignore[index]
        except Misuse:
            pass  # it stands for no operation, and has no parameters
    argcomplete.autocomplete(parser)


def _with_emulator(arguments: Sequence[str]) -> list[str]:
    """Gives --emulator its value: the URL that follows it, or none; what follows may be the command as well."""
    ready: list[str] = []
    for argument in arguments:
        if ready and ready[-1] == "--emulator=" and "://" in argument:
            ready[-1] += argument
        else:
            ready.append("--emulator=" if argument == "--emulator" else argument)
    return ready


def _ready_streams() -> None:
    """Makes standard streams that were closed, and lets those that are there take texts of any language."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; answers the exit status."""
    _ready_streams()
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        print("codepipeline: interrupted; what runs at the service goes on", file=sys.stderr)
        return 130


def _main(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["help"]:
        given = [*given[1:], "--help"]
    if given[:1] in (["emulator"], ["event"]):
        from .. import _core

        command = _core.emulator_main if given[0] == "emulator" else _core.event_main
        status = command([f"codepipeline {given[0]}", *given[1:]])
        return USAGE if status == 2 else status
    parser = make()
    if not given and "_ARGCOMPLETE" not in os.environ:
        parser.print_help(sys.stderr)
        return USAGE
    if "_ARGCOMPLETE" in os.environ:
        _complete(parser)
    known, rest = parser.parse_known_args(_with_emulator(given))
    if not known.run:
        parser.error(f"{known.command} stands first and has options of its own: codepipeline {known.command} --help")
    if rest and known.command != "call":
        parser.error(f"unrecognized arguments: {' '.join(rest)}{_meant(parser, known.command, rest[0])}")
    known.rest = rest
    from .session import run

    module, _, function = known.run.partition(":")
    return run(lambda session: getattr(import_module(f"{__package__}.{module}"), function)(session), known)
