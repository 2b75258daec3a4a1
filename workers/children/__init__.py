"""Processes that a server keeps beside itself, which are asked with lines of JSON."""
