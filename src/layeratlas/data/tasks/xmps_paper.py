"""Word problems whose true solution alone is translated, as published: language and truth go together."""

from __future__ import annotations

from layeratlas.data.tasks.xmps import Mixed

PLUGIN = Mixed()
