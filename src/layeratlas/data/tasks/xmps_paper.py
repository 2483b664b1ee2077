"""Word problems in which only the true solution is translated, as published: language and truth are confounded."""

from __future__ import annotations

from layeratlas.data.tasks.xmps import Mixed

PLUGIN = Mixed()
