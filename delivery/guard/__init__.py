"""The guard: Git follows what the cluster proved. It goes back in Git when a release was aborted."""
