class Refused(Exception):
    """A command or an action cannot be done; the message is one sentence for people."""


class Unreadable(Refused):
    """A file of the branch is malformed; the message ends a sentence that begins with the file's name."""


class UnreadableRelease(Refused):
    """A release file is not YAML, lacks a field or has a field of the wrong form."""


class RegistryUnreachable(Refused):
    """The registry gave no answer, so nothing is known about the image."""


class ClusterUnreachable(Refused):
    """The Kubernetes API gave no answer, so nothing is known about what runs."""
