"""ampmap: a small local HTTP proxy that maps the model names coding agents ask for to models that you can serve.

The rooms, from the ground up; each imports only from rooms below it, and a test holds it to that:

* words and values: ``errors``, ``settings``, ``presets``, ``knownlines``
* pure, about bytes and text: ``headers``, ``costly``, ``knownheads``, ``chunks``, ``target``, ``address``,
  ``jsonbytes``, ``jsonwalk`` with ``jsonskip``, ``modelpage``, ``body``, ``reply``, ``toolnames``, ``repair``,
  ``members``, ``advertised``, ``facts`` with ``images`` and ``offered``, ``gunzip``, ``decoding``, ``patterns`` with
  ``patterncost`` and ``patternchars``
* pure, about policy: ``names``, ``mapping``, ``logins``, ``rest``, ``credits``, ``reasons``, ``router``, ``advice``,
  ``credentials``, ``cookies``, ``gate``, ``errorbody``, ``outbound``, ``catalogue``, ``explain``, ``opening``,
  ``changes``, ``unreachable``
* the configuration: ``yamlnodes``, ``plainitems``, ``yamltree`` with ``yamltabs`` (ruamel.yaml), ``configvalues``,
  ``configproviders``, ``configchanges``, ``configamp``, ``collector``, ``files``, ``configfile``; edited by
  ``ruleedit`` and ``rulefile``, begun by ``starter``, followed by ``filestate``, ``watchedfiles``, ``watch`` (watchdog)
  and ``reload``
* input and output: ``threads``, ``signals``, ``waits``, ``stream`` and ``clientstream`` (asyncio transports),
  ``parser`` (h11), ``wire`` with ``clientwire`` and ``upstreamwire``, ``lookup``, ``dial`` (ssl), ``pool``,
  ``listener``, ``pump``, ``peek``, ``relay``, ``tunnel``, ``intake``, ``modellists``, ``discovery``,
  ``journal``, ``outlet``, ``logs``, ``amp``, ``activation``, ``notify``
* a proxy: ``service``, ``turn``, ``answer``, ``admin``, ``amproute``, ``modelroute``, ``exchange``, ``server``
* programs: ``cli``, ``process``, ``occupant``, ``check``, ``learn``, ``demo`` with ``standin``, and ``testing`` for
  pytest

The life of a request: ``listener`` accepts; ``clientwire`` reads a head within limits; ``exchange`` asks ``target``
what it is for and ``gate`` whether it may; in ``modelroute`` the body is read whole, ``body`` finds the model's name in
it and ``router.decide`` says who serves it; ``outbound`` makes the new head, ``relay`` sends it with the body as slices
around the new name and streams the reply back, through ``reply`` where a name has to be given back; one ``journal``
record.

``running`` embeds a proxy in a program or a test; ``serve`` runs one until it is told to stop.

Nothing is imported here before a public name is asked for: ``python -m ampmap`` imports this file while the working
directory, which may be a stranger's repository, is still where modules are looked for.
"""

TYPE_CHECKING = False  # type checkers know the name, and take it for typing.TYPE_CHECKING

if TYPE_CHECKING:
    from .config.file import load as load_config
    from .errors import AmpmapError, ConfigError
    from .server import Server, running, serve
    from .settings import Amp, Endpoint, Limits, ModelEntry, Origin, Provider, Rule, Settings, TcpListen, Timeouts
    from .settings import UnixListen as UnixListen

__version__ = "0.1.0"

__all__ = (
    "Amp",
    "AmpmapError",
    "ConfigError",
    "Endpoint",
    "Limits",
    "ModelEntry",
    "Origin",
    "Provider",
    "Rule",
    "Server",
    "Settings",
    "TcpListen",
    "Timeouts",
    "UnixListen",
    "load_config",
    "running",
    "serve",
)

_ROOMS = {
    "AmpmapError": "errors",
    "ConfigError": "errors",
    "Server": "server",
    "load_config": "configfile",
    "running": "server",
    "serve": "server",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: ``ampmap --version`` needs no HTTP, a pytest plugin nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'ampmap' has no attribute {name!r}")
    from importlib import import_module

    room = import_module(f".{_ROOMS.get(name, 'settings')}", __name__)
    return getattr(room, "load" if name == "load_config" else name)
