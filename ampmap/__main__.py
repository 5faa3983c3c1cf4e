"""``python -m ampmap``, and the command of that name."""

from .collector import no_collections, retain_all

with no_collections():
    from .cli import main

    retain_all()

if __name__ == "__main__":
    raise SystemExit(main())
