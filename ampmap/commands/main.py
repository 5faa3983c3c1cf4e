"""The command line: options and environment in, an exit code out. The only room that prints, beside ``demo``.

The stand-ins of ``demo`` and what only ``explain`` needs are imported by those commands, so that the proxy starts
sooner. What writes a configuration is imported at once: on a full disk, Python itself could not compile it.

Exit codes: 0 done; 1 warnings under ``check --strict``, or a proxy that could not listen; 2 a configuration or a
command line that can't be used; ``explain`` adds 3 for a request that would spend credits, 4 for one that nobody
serves or that is refused, and 5 for one that is covered but cannot be served now.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import anyio

from .._version import __version__
from ..bodies.find_model import find_model
from ..config import file as configfile
from ..config import rule_file as rulefile
from ..config.file import Loaded
from ..config.watched_files import LOAD_S, overdue
from ..errors import BadRequest, Complaint, ConfigError
from ..escaping import counted
from ..formats.registry import ASKED_AS, FORMATS
from ..net.activation import inherited, listens_of
from ..net.address import is_loopback
from ..net.systemd import service_manager
from ..proxy.reload import Source
from ..records.log_format import set_up
from ..routing.conditions import NO_FACTS, facts_of
from ..routing.explain import Explanation, as_json, as_text, changed_bytes, exit_code, explain, explain_for
from ..routing.reasons import shown_rule
from ..routing.snapshot import compile_snapshot
from ..runtime import retain_all
from ..server import Server, serve
from ..settings import Listen, Settings, TcpListen
from ..threads import Overdue, call_within
from . import init as starter
from .banner import opening
from .check import check
from .occupant import reason
from .process import arguments, mute, obey_signals, raise_file_limit, served, set_up_streams


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Prints what is wrong to standard error."""
    set_up_streams()
    options = _parser().parse_args(arguments() if argv is None else argv)
    obey_signals(hang_up=options.run is not _serve)
    try:
        return int(options.run(options))
    except ConfigError as exc:
        _complain(exc.complaints)
        return 2
    except KeyboardInterrupt:
        return 130
    except UnicodeEncodeError:
        print("ampmap: an argument is not UTF-8; write it as UTF-8", file=sys.stderr)
        return 2
    except BrokenPipeError:
        mute()
        return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    _add_common(common, argparse.SUPPRESS)
    parser = argparse.ArgumentParser(
        prog="ampmap", description="A local proxy that maps the models coding agents ask for to models you can serve."
    )
    parser.add_argument("--version", action="version", version=f"ampmap {__version__}")
    _add_common(parser, None)
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(metavar="COMMAND")

    found = commands.add_parser("serve", parents=[common], help="run the proxy (what happens without a command)")
    found.set_defaults(run=_serve)

    found = commands.add_parser("check", parents=[common], help="read the configuration and say what is wrong with it")
    found.add_argument("--strict", action="store_true", help="exit with 1 when there are warnings")
    found.set_defaults(run=_check)

    found = commands.add_parser("explain", parents=[common], help="say what would happen to a model, and why")
    found.add_argument("model", nargs="?", help="the model's name as an agent asks for it")
    found.add_argument("--protocol", choices=tuple(FORMATS), help="only this wire format")
    asked = found.add_mutually_exclusive_group()
    asked.add_argument("--as", dest="agent", choices=ASKED_AS, help="ask as this agent would: its formats and paths")
    asked.add_argument("--provider", help="ask as Amp would, with this segment under /api/provider/")
    found.add_argument("--header", metavar="NAME:VALUE", type=_header, action="append", default=[])
    found.add_argument("--request", metavar="FILE", type=Path, help="take the model from a request's JSON body")
    found.add_argument("--json", action="store_true", help="for machines")
    found.set_defaults(run=_explain)

    found = commands.add_parser("map", parents=[common], help="list the rules in the file, add one, remove one")
    actions = found.add_subparsers(metavar="ACTION", required=True)
    action = actions.add_parser("list", parents=[common], help="show the rules in the order of the file")
    action.set_defaults(run=_map_list)
    action = actions.add_parser("add", parents=[common], help="map FROM to TO; a rule from FROM gets the new target")
    action.add_argument("source", metavar="FROM")
    action.add_argument("target", metavar="TO")
    action.add_argument("--regex", action="store_true", help="FROM is a pattern, searched in a model's name")
    action.set_defaults(run=_map_add)
    action = actions.add_parser("remove", parents=[common], help="take the rules from FROM out")
    action.add_argument("source", metavar="FROM")
    action.set_defaults(run=_map_remove)

    found = commands.add_parser("init", parents=[common], help="write a commented starter for what is found here")
    found.set_defaults(run=_init)

    found = commands.add_parser("env", parents=[common], help="print lines that point an agent here, for `eval`")
    found.add_argument("agent", nargs="?", choices=starter.AGENTS)
    found.set_defaults(run=_env)

    found = commands.add_parser("demo", parents=[common], help="show the main job on stand-in providers")
    found.set_defaults(run=_demo)
    return parser


def _add_common(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Add the options that may stand before or after the command; the later one wins."""
    parser.add_argument("--config", metavar="PATH", default=default, help="a YAML file, or a directory of them")
    parser.add_argument("--host", default=default, help="listen on this address instead")
    parser.add_argument("--port", type=_port, default=default, help="listen on this port instead")
    parser.add_argument("--log-format", choices=("text", "json"), default=default)
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default=default)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; write a number from 0 to 65535")
    return int(text)


def _header(text: str) -> tuple[bytes, bytes]:
    name, colon, content = text.partition(":")
    if not (colon and name.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is no header; write 'NAME: VALUE'")
    try:
        return name.strip().encode("latin-1"), content.strip().encode("latin-1")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!r} has characters that no header can carry") from None


def _load(options: argparse.Namespace) -> Loaded:
    """Read the configuration and lay the command line's options over it. Errors: ConfigError, after LOAD_S too."""
    return _load_found(options)[1]


def _load_found(options: argparse.Namespace, handed_over: tuple[Listen, ...] = ()) -> tuple[Path | None, Loaded]:
    path: Path | None = None

    def load() -> Loaded:
        nonlocal path
        path = configfile.find_config(options.config, os.environ)
        return _load_from(path, options, handed_over)

    try:
        loaded = call_within(LOAD_S, load)
    except Overdue:
        raise overdue(path or Path(options.config or ""), LOAD_S) from None
    return path, loaded


def _load_from(path: Path | None, options: argparse.Namespace, handed_over: tuple[Listen, ...] = ()) -> Loaded:
    loaded = configfile.load(path, os.environ) if path else configfile.defaults(os.environ)
    settings = loaded.settings
    if path is not None:
        settings = dataclasses.replace(settings, source=str(path.absolute()))  # `explain` compares it with a proxy's
    if handed_over:
        _refuse_handed_over(settings, handed_over)
        settings = dataclasses.replace(settings, listen=handed_over)
    elif options.host is not None or options.port is not None:
        first = next((at for at in settings.listen if isinstance(at, TcpListen)), TcpListen())
        host, port = options.host, options.port
        listen = TcpListen(host=first.host if host is None else host, port=first.port if port is None else port)
        _refuse_strangers(settings, listen)
        settings = dataclasses.replace(settings, listen=(listen,))
    log = settings.log
    log = dataclasses.replace(log, format=options.log_format or log.format, level=options.log_level or log.level)
    return dataclasses.replace(loaded, settings=dataclasses.replace(settings, log=log))


def _refuse_strangers(settings: Settings, listen: TcpListen) -> None:
    if not (settings.api_keys or settings.allow_open_access or is_loopback(listen.host)):
        what = f"--host {listen.host}: others could use this proxy; set api-keys, or 'allow-open-access: true'"
        raise ConfigError(Complaint(what))


def _refuse_handed_over(settings: Settings, listens: tuple[Listen, ...]) -> None:
    """Hold sockets that were opened for this process to what holds for those that it would open itself."""
    found = [what for what in map(configfile.open_to_strangers, listens) if what]
    if found and not (settings.api_keys or settings.allow_open_access):
        raise ConfigError(*(Complaint(f"handed over by LISTEN_FDS: {what}") for what in found))


def _complain(complaints: Sequence[Complaint]) -> None:
    for complaint in complaints:
        word = "" if complaint.severity == "error" else "warning: "
        where = f"{complaint.place}: " if complaint.place else ""
        print(f"{where}{word}{complaint.what}", file=sys.stderr)


def _serve(options: argparse.Namespace) -> int:
    manager = service_manager(os.environ)
    try:
        sockets = inherited(os.environ)
    except OSError as exc:
        return _cannot(exc)
    handed_over = listens_of(sockets)
    path, loaded = _load_found(options, handed_over)
    source = None
    if path is not None:
        read_again = partial(_load_from, path, options, handed_over)
        source = Source(path, read_again, loaded.files, applied=lambda settings: set_up(settings.log))
    _, warnings = compile_snapshot(loaded.settings)
    set_up(loaded.settings.log)
    raise_file_limit()
    with suppress(OSError):  # a full disk, or nobody to read it: no reason not to serve
        _complain((*loaded.warnings, *warnings))

    def announce(server: Server) -> None:
        retain_all()
        try:
            print(opening(loaded.settings, server.addresses), flush=True)
        except OSError:  # a full disk, or nobody to read it: no reason not to serve
            mute()

    try:
        run = partial(serve, loaded.settings, sockets=sockets or None, source=source, on_ready=announce)
        uvloop = find_spec("uvloop") is not None  # the extra of that name
        anyio.run(served, partial(run, manager=manager), backend_options={"use_uvloop": uvloop})
    except OSError as exc:
        return _cannot(exc)
    return 0


def _cannot(exc: OSError) -> int:
    print(f"ampmap: {reason(exc)}", file=sys.stderr)
    return 1


def _check(options: argparse.Namespace) -> int:
    found, settings = check(partial(_load, options))
    _complain(found)
    if any(complaint.severity == "error" for complaint in found):
        return 2
    where = settings.source or "no configuration file: the built-in defaults"
    numbers = {"provider": len(settings.providers), "rule": len(settings.amp.rules), "warning": len(found)}
    counts = ", ".join(counted(number, noun) for noun, number in numbers.items())
    print(f"{where}: usable; {counts}")
    return 1 if found and options.strict else 0


def _explain(options: argparse.Namespace) -> int:
    from .availability import learn

    settings = _load(options).settings
    snapshot, _ = compile_snapshot(settings)
    body, span, model = b"", None, options.model
    if options.request is not None:
        try:
            body = options.request.read_bytes()
            span = find_model(body)
        except (OSError, BadRequest) as exc:
            raise ConfigError(Complaint(f"{options.request}: {exc}")) from exc
        if span is None and model is None:
            raise ConfigError(Complaint(f'{options.request}: this is no JSON object with a top-level "model" string'))
        model = model or (span.name if span else None)
    if not (model or "").strip():
        raise ConfigError(Complaint("explain what? give a model's name, or --request FILE"))
    headers = tuple(options.header)
    availability, learnt = anyio.run(learn, settings, dict(os.environ))
    facts = facts_of(body) if body else NO_FACTS
    asked = (snapshot, availability, headers, facts, len(body))
    if options.provider is None:
        found, amp = explain_for(options.agent, model, options.protocol, *asked)
    else:
        found, amp = explain(model, options.protocol, options.provider, *asked), list[Explanation]()
    if options.json:
        print(as_json(found, snapshot, learnt, amp))
    else:
        print(as_text(found, snapshot, availability, learnt, amp))
        if body:
            print(f"\n{changed_bytes(body, span, found)}")
    return exit_code([*found, *amp])


def _rules_path(options: argparse.Namespace) -> Path:
    path = configfile.find_config(options.config, os.environ)
    if path is None:
        raise ConfigError(Complaint("there is no configuration to edit; `ampmap init` writes one"))
    return path


def _map_list(options: argparse.Namespace) -> int:
    for rule in rulefile.map_list(_rules_path(options)):
        print(shown_rule(rule))
    return 0


def _map_add(options: argparse.Namespace) -> int:
    if not (options.source.strip() and options.target.strip()):
        raise ConfigError(Complaint("a rule needs both names: ampmap map add FROM TO"))
    print(rulefile.map_add(_rules_path(options), options.source, options.target, options.regex))
    return 0


def _map_remove(options: argparse.Namespace) -> int:
    print(rulefile.map_remove(_rules_path(options), options.source))
    return 0


def _init(options: argparse.Namespace) -> int:
    path = Path(options.config) if options.config else configfile.user_config(os.environ)
    if not path.is_absolute() and not options.config:
        raise ConfigError(Complaint("neither HOME nor XDG_CONFIG_HOME says where to write; give --config PATH"))
    starter.write_starter(path, starter.starter(os.environ, anyio.run(starter.answering_servers)))
    print(f"{path} is written; look through it, then: ampmap check, ampmap serve")
    return 0


def _env(options: argparse.Namespace) -> int:
    settings = _load(options).settings
    listen = next((at for at in settings.listen if isinstance(at, TcpListen)), None)
    if listen is None:
        raise ConfigError(Complaint("this proxy listens on unix sockets only, which no agent can be pointed at"))
    print("\n".join(starter.env_lines(options.agent, f"http://{listen}", bool(settings.api_keys))))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from .demo import demo

    try:
        return anyio.run(demo)
    except BaseExceptionGroup as group:
        if group.split(BrokenPipeError)[1] is None:  # whoever read the output has left
            raise BrokenPipeError from group
        raise
