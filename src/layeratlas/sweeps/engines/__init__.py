"""Engines launch workers; the sweep's folder decides what each of them does."""

from layeratlas.sweeps.engines.contract import Engine, Launch, Worker, find_engine

__all__ = ["Engine", "Launch", "Worker", "find_engine"]
