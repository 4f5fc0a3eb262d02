"""What the person at the terminal is told when the cluster cannot be built or started."""


class ClusterError(Exception):
    """One sentence: what was expected, what was found, what to do."""
