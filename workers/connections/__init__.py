"""Connections to the store's database: pools for readers and writers, turns to write, and what errors mean."""
