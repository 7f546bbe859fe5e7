"""Sandboxes: places whose commands see little of the machine. Each provider is a file or a folder here."""
