"""What all routes of a server share."""

from __future__ import annotations

from dataclasses import dataclass

from autocog_core.config.server_config import ServerConfig
from autocog_core.server.admission import Admission
from autocog_core.server.metrics import ServerMetrics
from autocog_core.server.program_folder import ProgramFolder
from autocog_core.server.served_models import ServedModels


@dataclass(frozen=True)
class ServerState:
    """What all routes of a server share.

    :ivar config: the settings.
    :ivar keys: the keys of clients; with none, every request is answered.
    :ivar models: the models.
    :ivar admission: how many calls wait.
    :ivar metrics: counters.
    :ivar programs: the programs that clients may run by name.
    """

    config: ServerConfig
    keys: tuple[str, ...]
    models: ServedModels
    admission: Admission
    metrics: ServerMetrics
    programs: ProgramFolder
