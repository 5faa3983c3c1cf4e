"""The configuration: YAML read as :class:`~ampmap.settings.Settings`, edited in place, followed as it is saved.

``commands`` loads a configuration at the start, ``proxy.reload`` each time that ``watch`` sees a change, and
``map add`` edits it. Readers report every complaint with its place, and never show a value that may be a secret.

To add a key: a field of the dataclass in ``settings``, its line in ``keys``, its reader in ``file``, ``amp`` or
``providers`` (the sections ``timeouts``, ``limits`` and ``log`` need the field alone), and ``examples/ampmap.yaml``.

* ``file``: a file or a directory; ``reader``: single values; ``providers``, ``amp`` and ``rule_changes``: the sections
* ``keys``: the keys of each mapping, as the readers know them and as a JSON Schema
* ``yaml_tree``: YAML text as a tree of ``nodes``, each with its place; ``yaml_tabs`` helps it
* ``presets``: what is known of each kind of provider; ``profiles``: what a translator has to know of one
* ``rule_edit`` and ``rule_file``: rules added and removed in the text
* ``watch``: changes noticed; ``fingerprint``: the files' state that is compared; ``diff``: changes in words
"""
