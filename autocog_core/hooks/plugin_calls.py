"""What goes wrong in a plugin's hook: exceptions that are not autocog's own, and wrong answers.

Either becomes one error, which names the hook and the plugin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy

from autocog_core.errors import (
    AUTHOR_HINT,
    AutocogError,
    ContractError,
    EngineError,
    HookError,
    NumericsError,
    OutOfMemoryError,
)

#: Core's own hook implementations are registered under this name, which no model has.
CORE = "(core)"


class PluginCalls:
    """The hooks of one model, and whose they are.

    :param hooks: the hooks of the model's pluggy manager.
    :param model_name: the model's name, for messages.
    :param backend: the object with the backend's hook implementations.
    :param label: returns a plugin's name with its distribution and version, for messages.
    """

    def __init__(
        self, hooks: Any, model_name: str, backend: object, label: Callable[[object], str]
    ) -> None:
        self._hooks = hooks
        self._model_name = model_name
        self._backend = backend
        self._label = label
        self._only_core: dict[str, bool] = {}

    def only_core_answers(self, hook: str) -> bool:
        """Return whether no plugin implements or wraps a hook."""
        only_core = self._only_core.get(hook)
        if only_core is None:
            implementations = self._implementations(hook)
            only_core = all(each.plugin_name == CORE for each in implementations)
            self._only_core[hook] = only_core
        return only_core

    def all_have(self, hook: str, other: str) -> bool:
        """Return whether each plugin that implements or wraps a hook also has the other one."""
        others = {each.plugin_name for each in self._implementations(other)}
        names = {each.plugin_name for each in self._implementations(hook)}
        return names - {CORE} <= others

    def find_without_parameter(self, hook: str, parameter: str) -> str:
        """Return the plugin whose implementation does not take a parameter; "" if all do.

        Wrappers of a hook are not asked: they do not answer.
        """
        for each in self._implementations(hook):
            is_wrapper = each.wrapper or each.hookwrapper
            if not is_wrapper and parameter not in (*each.argnames, *each.kwargnames):
                return self._label(each.plugin)
        return ""

    def error_of(self, hook: str, error: Exception) -> Exception:
        """Return the error for an exception that left a hook; an error of core's own code stays."""
        raiser = self._find_raiser(hook, error)
        if raiser is None:
            return error
        who = f"{hook} of {self._label(raiser)}"
        if isinstance(error, MemoryError):
            return OutOfMemoryError(
                f"{who} ran out of memory",
                where=self._model_name,
                hint="request less at once, or close other models",
            )
        text = str(error).strip()
        return HookError(
            f"{who} raised {type(error).__name__}" + (f": {text}" if text else ""),
            where=self._model_name,
            hint=f"this is an error of the plugin, not of the call: {AUTHOR_HINT}",
        )

    def check(self, hook: str, check: Callable[..., None], *arguments: Any) -> None:
        """Check what a hook returned.

        :param check: raises `ContractError` or `NumericsError` with what is wrong.
        :param arguments: its arguments: the answer, and what is due.
        :raises ContractError, NumericsError: that name the hook and the plugin.
        """
        try:
            check(*arguments)
        except NumericsError as error:
            raise NumericsError(
                f"{hook} {error.message}",
                where=self._model_name,
                hint=self._hint(hook, error.hint or AUTHOR_HINT),
            ) from None
        except ContractError as error:
            raise self.contract_error(hook, error.message) from None
        except AutocogError:
            raise
        except Exception as error:
            message = f"its answer cannot be read: {type(error).__name__}: {error}"
            raise self.contract_error(hook, message) from error

    def contract_error(self, hook: str, message: str) -> EngineError:
        """Return the error for an answer that a hook's specification does not allow."""
        return ContractError(f"{hook}: {message}", where=self._model_name, hint=self._hint(hook))

    def _hint(self, hook: str, hint: str = AUTHOR_HINT) -> str:
        """Return a hint that names the plugins that may have given an answer, outermost first."""
        plugins = [
            each.plugin
            for each in reversed(self._implementations(hook))
            if each.plugin_name != CORE and each.plugin is not self._backend
        ]
        labels = [self._label(plugin) for plugin in (*plugins, self._backend)]
        return f"the answer is of {' around '.join(dict.fromkeys(labels))}: {hint}"

    def _find_raiser(self, hook: str, error: BaseException) -> object | None:
        """Return the plugin in whose implementation an exception arose; None for core itself."""
        plugins: dict[Any, list[object | None]] = {}
        for each in self._implementations(hook):
            code = getattr(getattr(each.function, "__func__", each.function), "__code__", None)
            if code is not None:
                plugin = None if each.plugin_name == CORE else each.plugin
                plugins.setdefault(code, []).append(plugin)
        # A wrapper's frame is in the traceback as well: the innermost implementation counts.
        raiser: object | None = self._backend
        traceback = error.__traceback__
        while traceback is not None:
            if found := plugins.get(traceback.tb_frame.f_code):
                # Wrappers with `around` have the same code.
                owner = traceback.tb_frame.f_locals.get("self")
                raiser = owner if any(plugin is owner for plugin in found) else found[-1]
            traceback = traceback.tb_next
        return raiser

    def _implementations(self, hook: str) -> list[pluggy.HookImpl]:
        implementations: list[pluggy.HookImpl] = getattr(self._hooks, hook).get_hookimpls()
        return implementations
