"""ampmap: a small local HTTP proxy that maps the model names coding agents ask for to models that you can serve.

The packages, from the ground up; a test holds who may import whom, and each package's page names its modules:

* values that all may use: ``errors``, ``settings``, ``escaping``, ``files``, ``threads``
* ``net``: sockets; ``records``: the log; ``bodies``: JSON and events as bytes; ``formats``: the wire formats
* ``http``: HTTP/1.1; ``amp``: what only Amp needs; ``routing``: the pure decision; ``access``: keys and gates
* ``config``: YAML; ``proxy``: one request served; ``admin``: pages about the proxy
* ``server`` puts them together; ``commands`` and ``testing`` (for pytest) start it

The life of a request: ``net.listener`` accepts; ``http.client_connection`` reads a head within limits;
``proxy.exchange`` asks ``routing.target`` which route it is for and ``access.gate`` whether it may; in
``proxy.model_route`` the body is read whole, ``bodies.find_model`` finds the model's name in it and ``routing.decide``
says who serves it; ``proxy.upstream_request`` makes the new head; ``proxy.relay`` sends it with the body as slices
around the new name and streams the reply back, through ``bodies.rename`` where a name has to be given back; one
``records.record``.

``running`` embeds a proxy in a program or a test; ``serve`` runs one until it is told to stop.

Nothing is imported here before a public name is asked for: ``python -m ampmap`` imports this file while the working
directory, which may be a stranger's repository, is still where modules are looked for.
"""

TYPE_CHECKING = False  # type checkers know the name, and take it for typing.TYPE_CHECKING

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
    """Import a public name when it is first asked for: ``ampmap --version`` needs no HTTP, a pytest plugin nothing."""
    if name not in __all__ and name != "__version__":
        raise AttributeError(f"module 'ampmap' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f".{_MODULES.get(name, 'settings')}", __name__)
    return getattr(module, "load" if name == "load_config" else name)
