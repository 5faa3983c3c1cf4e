"""ampmap: a small local HTTP proxy that maps the model names coding agents ask for to models that you can serve.

The packages, from the ground up; a test holds who may import whom, and each package's page names its modules:

* values that all may use: ``errors``, ``settings``, ``escaping``, ``files``, ``threads``
* ``net``: sockets; ``records``: the log; ``bodies``: JSON and events as bytes; ``formats``: the wire formats
* ``http``: HTTP/1.1; ``amp``: what only Amp needs; ``routing``: the pure decision; ``access``: keys and gates
* ``config``: YAML; ``proxy``: one request served; ``admin``: pages about the proxy
* ``server`` puts them together; ``commands`` and ``testing`` (for pytest) start it

The life of a request: ``net.listener`` accepts; ``http.client_connection`` reads a head within limits;
``proxy.exchange`` asks ``routing.target`` for the request's route and ``access.gate`` whether the client may use it;
``proxy.model_route`` reads the whole body, ``bodies.find_model`` finds the model's name in it and ``routing.decide``
chooses the provider; ``proxy.upstream_request`` makes the new head; ``proxy.relay`` sends it with the body as slices
around the new name and streams the reply back, through ``bodies.rename`` where the reply must carry the old name;
``records.journal`` writes one ``records.record``.

``running`` embeds a proxy in a program or a test; ``serve`` runs one until it is told to stop.

This file imports nothing until a public name is asked for: ``python -m ampmap`` imports it while Python still looks for
modules in the working directory, which may be a stranger's repository.
"""

TYPE_CHECKING = False  # type checkers treat any variable of this name as true; importing typing is forbidden here

if TYPE_CHECKING:
    from ._version import __version__ as __version__
    from .config.file import load as load_config
    from .errors import AmpmapError, ConfigError
    from .server import Server, running, serve
    from .settings import Amp, Endpoint, Limits, ModelEntry, Origin, Provider, Rule, Settings, TcpListen, Timeouts
    from .settings import UnixListen as UnixListen

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

_MODULES = {
    "AmpmapError": "errors",
    "ConfigError": "errors",
    "Server": "server",
    "load_config": "config.file",
    "running": "server",
    "serve": "server",
    "__version__": "_version",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that ``ampmap --version`` does not load the HTTP modules."""
    if name not in __all__ and name != "__version__":
        raise AttributeError(f"module 'ampmap' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f".{_MODULES.get(name, 'settings')}", __name__)
    return getattr(module, "load" if name == "load_config" else name)
