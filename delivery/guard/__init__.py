"""The guard: a controller that rolls Git back when a release was aborted, and promotes what proved healthy."""
