"""Real agents through the real proxy, in a network namespace that has nothing but loopback.

Run with ``make e2e-amp`` and ``make e2e-agents``; plain ``make test`` leaves this out. See README.md.

* ``clients`` fetches what is run, ``runs`` begins all runs, ``inside`` has what a run in the namespace needs
* Amp's CLI: ``scenarios`` are the runs, ``amp_cli`` is one; ``tap`` sits between the CLI and ampmap and sees what
  truly passes there; ``amp_server`` stands in for ampcode.com and for the providers; ``promises`` hold in every run
* other agents: ``agents`` is the table of them, ``agent_run`` one run, ``cases`` what a test says of one; ``provider``
  is a strict provider of one wire format, ``strict`` what it refuses
* SDKs, ``llm``, LiteLLM's client and aider: ``sdks`` is the table, ``pypi`` fetches those in Python, ``programs`` has a
  small program for each SDK; ``litellm_run`` has LiteLLM's proxy as a provider
* ``live_page`` and ``screens`` make pictures while agents work, ``pictures`` starts both
* ``asks`` is what providers are asked and ``replies`` what they say in each wire format, ``gemini_spelling`` how
  Gemini's members may be spelled

None of them uses ampmap's own code: what it gets wrong, they would not get wrong in the same way.
"""
