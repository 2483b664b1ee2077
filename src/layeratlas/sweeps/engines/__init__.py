"""Engines launch workers; the sweep's folder determines the work of each."""

from layeratlas.sweeps.engines.contract import LOGS, Engine, Launch, Share, Worker, find_engine, last_words

__all__ = ["LOGS", "Engine", "Launch", "Share", "Worker", "find_engine", "last_words"]
