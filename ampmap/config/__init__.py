"""The configuration: YAML read as :class:`~ampmap.settings.Settings`, edited in place, followed as it is saved.

* ``file``: a file or a directory; ``reader``: single values; ``providers``, ``amp`` and ``rule_changes``: the sections
* ``yaml_tree``: YAML text as a tree of ``nodes``, each with its place; ``yaml_tabs`` helps it
* ``presets``: what is known of each kind of provider
* ``rule_edit`` and ``rule_file``: rules added and removed in the text
* ``watch``: changes noticed; ``watched_files`` and ``fingerprint``: what is compared; ``diff``: what changed, in words
"""
