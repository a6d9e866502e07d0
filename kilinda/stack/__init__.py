"""Runs Kilinda on one machine: the embedded PostgreSQL and Valkey, and the processes beside them.

Standard library only. Nothing here imports Django, so it works before settings can be loaded.
"""
