"""The decision, made without touching the world: target, conditions, snapshot, decision, and its words. Pure.

* ``target``: which route a request-target is for
* ``names``: the forms of a model's name; ``patterns``: regular expressions of rules, with ``pattern_cost`` and
  ``pattern_charset``, which bound their time
* ``conditions``: what a rule's ``when`` looks at in a body
* ``snapshot``: rules and providers compiled; ``logins``: the one origin for a client's own login
* ``decide``: who serves a request; ``cooldown``: the order of providers that could not be reached; ``credits``: how
  many requests may still spend credits
* ``reasons``: the steps of a decision in words; ``advice``: what to do; ``explain``: both, beforehand
* ``lint``: rules that can't take effect; ``errorbody``: errors in the asker's format
"""
