"""The report of `autocog conformance`: a line for each law as it goes, a summary, and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autocog_core.cli.output import escape_controls, new_console, show, show_json
from autocog_core.cli.session import session
from autocog_core.cli.styles import BAD, CAUTION, GOOD
from autocog_core.cli.text import Text
from autocog_core.hooks.tiers import TIERS, Tier

if TYPE_CHECKING:
    from autocog_core.testing import Law, LawResult

_STYLES = {"holds": GOOD, "broken": BAD, "warning": CAUTION}
#: The longest status is "not applicable".
_STATUS_WIDTH = 14
#: The section of the documentation about laws.
LAWS_PAGE = "writing-a-backend#the-laws"
#: Why laws were not checked.
STOPPED_BY = {
    "budget": "the budget of seconds is used up",
    "interrupt": "interrupted",
    "termination": "ended by a signal",
    "fail-fast": "the first broken law ends the check",
}


@dataclass(kw_only=True)
class Report:
    """The results so far.

    :ivar laws: all laws to check.
    :ivar as_json: whether the report is one JSON document, and the lines go to stderr.
    :ivar model: the model's name; empty before it was loaded.
    :ivar tolerance: its declared tolerance, in nats; None before it was loaded.
    :ivar results: the results of the laws that were checked.
    :ivar offers: the tiers that the model offers; None if that is not known.
    :ivar stopped_by: why not all laws were checked, a key of `STOPPED_BY`; empty if they were.
    """

    laws: Sequence[Law]
    as_json: bool
    model: str = ""
    tolerance: float | None = None
    results: list[LawResult] = field(default_factory=list)
    offers: Sequence[Tier] | None = None
    stopped_by: str = ""

    @property
    def broken(self) -> list[LawResult]:
        """The results of broken laws."""
        return [result for result in self.results if result.violation is not None]

    @property
    def not_run(self) -> list[str]:
        """The names of the laws that were not checked."""
        return [law.name for law in self.laws[len(self.results) :]]

    def add(self, result: LawResult) -> None:
        """Add a result, and show its line at once."""
        self.results.append(result)
        line = self._line(result)
        if self.as_json:
            session.info(line.plain)
        else:
            console = new_console()
            if console.is_terminal:
                console.print(line, no_wrap=True, overflow="ellipsis")
            else:
                console.print(line, soft_wrap=True)
        for problem in result.warnings:
            session.warn(f"{result.law.name}: {problem}")

    def finish(self) -> None:
        """Show the whole report."""
        if self.as_json:
            show_json(self._facts())
        else:
            show(*_details(self.broken), self._summary())
            if self.broken:
                session.info(f"`autocog docs {LAWS_PAGE}` explains the laws.")

    def _line(self, result: LawResult) -> Text:
        width = max(len(law.name) for law in self.laws)
        status = "warning" if result.warnings and result.status == "holds" else result.status
        difference = _format_difference(result.max_difference)
        return Text.assemble(
            f"{result.law.name:<{width}}  ",
            (f"{status:<{_STATUS_WIDTH}}", _STYLES.get(status, "dim")),
            f"  {result.seconds:7.2f} s  {difference:>7}  ",
            escape_controls(result.reason or result.law.title),
        )

    def _largest(self) -> tuple[float, str] | None:
        """Return the largest difference, and the law that measured it."""
        measured = [
            (result.max_difference, result.law.name)
            for result in self.results
            if result.max_difference is not None
        ]
        return max(measured, default=None)

    def _summary(self) -> Text:
        statuses = [result.status for result in self.results]
        held, broken = statuses.count("holds"), statuses.count("broken")
        text = f"\n{self.model}: {held} {'law holds' if held == 1 else 'laws hold'}"
        text += f", {broken} {'is' if broken == 1 else 'are'} broken"
        if skipped := len(statuses) - held - broken:
            text += f", {skipped} {'does' if skipped == 1 else 'do'} not apply"
        if self.not_run:
            were = "was" if len(self.not_run) == 1 else "were"
            text += (
                f"\n{STOPPED_BY[self.stopped_by]}: {len(self.not_run)} of {len(self.laws)} laws "
                f"{were} not checked: {', '.join(self.not_run)}"
            )
        if (largest := self._largest()) is not None:
            text += (
                f"\nlargest difference: {largest[0]:.2g} nats a token ({largest[1]}); "
                f"declared tolerance: {self.tolerance:g}"
            )
        if self.offers is not None:
            text += f"\n{self._offers_text()}"
        style = BAD if broken else CAUTION if self.not_run else GOOD
        return Text(escape_controls(text), style=style)

    def _broken_laws(self, tier: Tier) -> list[str]:
        """Return the laws of a tier that are broken."""
        return [result.law.name for result in self.broken if result.law.name in tier.laws]

    def _offers_text(self) -> str:
        """Return what the model offers, and what not."""
        offered = [
            tier.name
            + (f" (broken: {', '.join(laws)})" if (laws := self._broken_laws(tier)) else "")
            for tier in self.offers or ()
        ]
        others = [tier.name for tier in TIERS if tier not in (self.offers or ())]
        text = f"offers: {', '.join(offered) or 'nothing'}"
        return text + (f"; not: {', '.join(others)}" if others else "")

    def _facts(self) -> dict[str, Any]:
        largest = self._largest()
        finished = not self.not_run
        return {
            "model": self.model,
            # Unknown, if laws are missing.
            "conforms": False if self.broken else (True if finished else None),
            "finished": finished,
            "stopped_by": self.stopped_by or None,
            "offers": None
            if self.offers is None
            else {tier.name: not self._broken_laws(tier) for tier in self.offers},
            "broken": [result.law.name for result in self.broken],
            "not_applicable": {
                result.law.name: result.reason for result in self.results if result.reason
            },
            "not_run": self.not_run,
            "warnings": {
                result.law.name: list(result.warnings) for result in self.results if result.warnings
            },
            "tolerance": self.tolerance,
            "largest_difference": largest and _finite(largest[0]),
            "largest_difference_law": largest and largest[1],
            "laws": [_law_facts(result) for result in self.results],
        }


def _law_facts(result: LawResult) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "law": result.law.name,
        "promise": result.law.title,
        "kind": result.law.kind,
        "status": result.status,
        "seconds": round(result.seconds, 4),
    }
    if result.max_difference is not None:
        facts["largest_difference"] = _finite(result.max_difference)
    if result.reason:
        facts["reason"] = result.reason
    if (violation := result.violation) is not None:
        names = ("problem", "given", "expected", "got", "cause")
        facts |= {name: value for name in names if (value := getattr(violation, name))}
        if violation.frames:
            facts["frames"] = list(violation.frames)
    return facts


def _finite(difference: float) -> float | None:
    """Return a difference for JSON, which has no infinity: None."""
    return difference if difference < float("inf") else None


def _format_difference(difference: float | None) -> str:
    return "" if difference is None else f"{difference:.1e}"


def _details(broken: list[LawResult]) -> list[Text]:
    """Return what is wrong: one text per law, or per error of a call that breaks several laws."""
    by_cause: dict[str, list[LawResult]] = {}
    for result in broken:
        assert result.violation is not None
        cause = _first_error(result.violation) if result.violation.failure else result.law.name
        by_cause.setdefault(cause, []).append(result)
    return [Text(escape_controls(f"\n{_detail(results)}")) for results in by_cause.values()]


def _first_error(error: BaseException) -> str:
    """Return the error that the others were raised from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"


def _detail(results: list[LawResult]) -> str:
    violation = results[0].violation
    assert violation is not None
    if len(results) == 1:
        return str(violation)
    names = ", ".join(result.law.name for result in results)
    frames = "".join(f"\n  {frame}" for frame in violation.frames)
    return f"one error breaks {len(results)} laws: {violation.problem}{frames}\n  laws: {names}"
