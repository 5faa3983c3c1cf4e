"""The decision: which route a request is for, who serves its model, and why, in words. Pure.

``proxy`` asks it for each request, ``commands.explain`` beforehand, and both get the same answer. It reads a snapshot
of the configuration and what is known of providers; it touches no socket, file or clock.

To add a condition of rules: a field of ``settings.When``, its line in ``config.keys.WHEN``, its reader in
``config.amp``, its comparison in ``decide.unmet``, and its words in ``examples/README.md`` and
``examples/ampmap.yaml``. One that looks into the body needs a field of ``conditions.Facts``, too.

* ``target``: which route a request-target is for
* ``names``: the forms of a model's name; ``patterns``: regular expressions of rules, with ``pattern_cost`` and
  ``pattern_charset``, which bound their time
* ``conditions``: the facts of a body that a rule's ``when`` is compared with
* ``snapshot``: rules and providers compiled; ``logins``: the one origin for a client's own login; ``translation``: the
  wire format in which a provider is asked
* ``decide``: who serves a request, and which condition of a rule fails (``unmet``); ``cooldown``: the order of
  providers that could not be reached; ``credits``: how many requests may still spend credits
* ``reasons``: the steps of a decision in words; ``advice``: what to do; ``explain``: both, beforehand
* ``lint``: rules that can't take effect; ``errorbody``: errors in the asker's format
"""
