"""The version of ampmap, in a module without imports so that every module may import it."""

__version__ = "0.2.0"
