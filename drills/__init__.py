"""Drills: real releases under real load on the local cluster, and a report of what users felt."""
