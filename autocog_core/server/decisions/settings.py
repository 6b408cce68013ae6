"""How the questions of a request are answered: the extensions that a body may have."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from autocog_core.server.decisions.template import Method


class DecisionSettings(BaseModel):
    """How the questions of a request are answered."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    method: Method = Field(
        "text",
        validation_alias=AliasChoices("x_method", "method"),
        description="text: score the options as whole texts. letter: list them with letters, and "
        "score the letters.",
    )
    isolate: bool | None = Field(
        None,
        validation_alias=AliasChoices("x_isolate", "isolate"),
        description="Evaluate the state and each question by themselves, so that no other question "
        "changes a bit of an answer. Default: true for quantized weights.",
    )
    norm: Literal["sum", "mean", "per_byte"] = Field(
        "sum",
        validation_alias=AliasChoices("x_norm", "norm"),
        description="What makes the probabilities of the options: their log-probability, or the "
        "mean per token or per byte.",
    )

    def resolved(self, *, is_exact: bool) -> Self:
        """Return the settings with a value for `isolate`.

        :param is_exact: whether the model's numbers do not depend on what is evaluated with them.
        """
        isolate = not is_exact if self.isolate is None else self.isolate
        return self.model_copy(update={"isolate": isolate})

    def choose_options(self) -> dict[str, Any]:
        """Return the options of `choose`."""
        options: dict[str, Any] = {"norm": self.norm}
        if self.isolate:
            options["isolate"] = True
        return options
