"""Runs ampmap on uvloop: ``python -m benchmarks.uvlooped ARGUMENTS``."""

from __future__ import annotations

import asyncio
import importlib
import sys

from ampmap.commands.main import main

if __name__ == "__main__":
    asyncio.set_event_loop_policy(importlib.import_module("uvloop").EventLoopPolicy())
    sys.exit(main())
