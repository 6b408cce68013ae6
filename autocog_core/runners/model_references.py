"""Models by what loads them: names and options, without engines and without secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass, field
from os import PathLike
from typing import Any, Self

from autocog_core.advice.issue import silence
from autocog_core.config import plugins
from autocog_core.config.config_file import Config, ModelConfig, read_config
from autocog_core.model.load import load
from autocog_core.model.model import Model
from autocog_core.version import __version__


@dataclass(frozen=True)
class ModelReferences:
    """The models of a run, for a process that loads them. It can be pickled.

    Secrets stay references (`env:NAME`): each process reads its own environment.

    :ivar config: the configuration, as it was read.
    :ivar main: the main model's name in it; None for a backend that is in no config file.
    :ivar backend: this backend, and its options.
    :ivar names: the configured model for each name that actions use.
    :ivar template_arguments: variables of the main model's chat template.
    :ivar silenced: codes of warnings that are not issued.
    """

    config: Config
    main: str | None
    _: KW_ONLY
    backend: ModelConfig | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    silenced: tuple[str, ...] = ()

    @classmethod
    def of_config(
        cls,
        name: str | None = None,
        config: str | PathLike[str] | Config | None = None,
        **more: Any,
    ) -> Self:
        """Return the references to models of the config file.

        :param name: the main model; None for the default model.
        :param config: the config file's path, or a config already read; None searches for it.
        :param more: the other fields.
        :raises ConfigError: if no such model is configured.
        """
        whole = config if isinstance(config, Config) else read_config(config)
        return cls(whole, whole.model(name)[0], **more)

    @classmethod
    def of_backend(cls, backend: str, options: Mapping[str, Any], **more: Any) -> Self:
        """Return the reference to a model without a config file.

        :param backend: the backend's name.
        :param options: its options.
        :param more: the other fields.
        :raises ConfigError: if actions name models, and the config file is wrong.
        """
        config = read_config() if more.get("names") else Config()
        entry = ModelConfig(backend=backend, options=dict(options))
        return cls(config, None, backend=entry, **more)

    @contextmanager
    def load(self) -> Iterator[tuple[Model, dict[str, Model]]]:
        """Load the models, each once, and yield the main one and those that actions name.

        They are closed at the end of the block.

        :raises AutocogError: as `autocog_core.load`.
        """
        silence(*self.silenced)
        with ExitStack() as stack:
            main = stack.enter_context(self._load_main())
            loaded = {} if self.main is None else {self.main: main}
            for name in self.names.values():
                if name not in loaded:
                    loaded[name] = stack.enter_context(load(name, config=self.config))
            yield main, {name: loaded[key] for name, key in self.names.items()}

    def _load_main(self) -> Model:
        arguments = self.template_arguments
        if self.backend is None:
            return load(self.main, config=self.config, template_arguments=arguments)
        name, options = self.backend.backend, self.backend.options
        return load(backend=name, options=options, template_arguments=arguments)

    def versions(self) -> dict[str, str]:
        """Return the versions of core and of the models' plugins, by distribution.

        Plugins that are not installed here are left out.
        """
        names = {*self.names.values(), *([] if self.main is None else [self.main])}
        entries = [self.config.models[name] for name in names]
        entries += [] if self.backend is None else [self.backend]
        used = {(plugins.BACKENDS, plugins.backend_name(entry.backend)) for entry in entries}
        used |= {(plugins.WRAPPERS, wrap.name) for entry in entries for wrap in entry.wrappers}
        found = {
            plugin.distribution: plugin.version
            for group in (plugins.BACKENDS, plugins.WRAPPERS)
            for plugin in plugins.installed_plugins(group)
            if (group, plugin.name) in used
        }
        return dict(sorted({**found, "autocog-core": __version__}.items()))
