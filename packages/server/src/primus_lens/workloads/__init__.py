"""Whose report it is: pods and workloads."""
