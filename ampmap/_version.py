"""The version of ampmap, alone in a module: everything may import it."""

__version__ = "0.1.0"
