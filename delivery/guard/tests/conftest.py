from delivery.tests.conftest import _own_home, closed_registry, registry, remote

__all__ = ["_own_home", "closed_registry", "registry", "remote"]
