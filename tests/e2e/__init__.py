"""The real Amp CLI and Claude Code through the real proxy, in a network namespace that has nothing but loopback.

Run with ``make e2e-amp``; plain ``make test`` leaves this out. ``clients`` fetches what is run, ``amp_cli`` is one run
inside the namespace, ``tap`` sits between the CLI and ampmap and sees what truly passes there, ``amp_server`` stands in
for ampcode.com and for the providers, ``replies`` is what those say. None of them uses ampmap's own code: what it gets
wrong, they would not get wrong in the same way.
"""
