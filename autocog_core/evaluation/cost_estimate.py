"""Upper bounds of a run's cost, computed before the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from autocog_core.automaton.actions import Action, Ask, Choose, Complete, Messages, Text
from autocog_core.automaton.checks.action_checks import require_sound
from autocog_core.automaton.choices import texts_of
from autocog_core.automaton.constant_tails import find_texts_before
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.messages import source_of
from autocog_core.automaton.templates.template import Template
from autocog_core.errors import CapabilityError, InputError
from autocog_core.evaluation.unconditional_checks import uses_constant_tail
from autocog_core.hooks.client import BackendClient
from autocog_core.records.action import expand_records
from autocog_core.scoring.prompt_encoding import encode_prompt
from autocog_core.types.choice import EOS
from autocog_core.types.prompt import Prompt, join_text

#: Maximum number of states to visit: pairs of an action and the visits of limited actions.
MAX_STATES = 20_000

#: Calls and tokens of one visit.
_Cost = tuple[int, int]
_Visits = tuple[tuple[str, int], ...]
_State = tuple[str, _Visits]


@dataclass(frozen=True, kw_only=True, slots=True)
class CostEstimate:
    """Upper bounds of the cost of a run with the order "breadth_first".

    Texts are tokenized alone. A run may evaluate a few more tokens where a choice changes the
    tokens of the text before it, or where a stop string begins inside a token.

    :ivar calls: model calls.
    :ivar tokens: tokens that the models evaluate, if they keep all tokens of the run in a cache.
    :ivar paths: complete paths.
    :ivar is_lower_bound: whether the automaton has more than `MAX_STATES` states, so that the run
        may cost more.
    """

    calls: int
    tokens: int
    paths: int
    is_lower_bound: bool = False


def estimate_cost(automaton: AutomatonGraph, client: BackendClient | None) -> CostEstimate:
    """Return the cost of the most expensive run: each action follows its most expensive branches.

    A template counts as its source text, choices from an input list do not count, and a group asks
    its questions once. Bind the inputs first to include them.

    :param automaton: the automaton.
    :param client: the main model's client; its tokenizer counts all tokens. None counts no tokens.
    :raises InputError: for an automaton with errors.
    """
    require_sound(automaton)
    automaton = expand_records(automaton)
    models = {
        action.model for action in automaton.all_actions if isinstance(action, Choose | Complete)
    }
    total = _estimate(automaton, client)
    bos = 1 if client is not None and client.info.adds_bos else 0
    # Paths that advance together may need a call of each model.
    return replace(total, calls=total.calls * max(1, len(models)), tokens=total.tokens + bos)


def _estimate(automaton: AutomatonGraph, client: BackendClient | None) -> CostEstimate:
    """Return the cost with one model, without BOS."""
    groups = {
        action.uid: [_estimate(graph, client) for graph in automaton.question_graphs(action)]
        for action in automaton.actions
        if isinstance(action, Ask)
    }
    costs = {
        action.uid: _group_cost(groups[action.uid])
        if action.uid in groups
        else _visit_cost(automaton, action, client)
        for action in automaton.actions
    }
    edges = {action.uid: _count_edges(action) for action in automaton.actions}
    estimates: dict[_State, CostEstimate] = {}
    stack = [_next_state(automaton.entry, ())]
    while stack:
        uid, visits = state = stack[-1]
        followers = [
            (_next_state(automaton.by_uid[successor], visits), count)
            for successor, count in edges[uid].items()
            if not _is_exhausted(automaton.by_uid[successor], visits)
        ]
        missing = [follower for follower, _ in followers if follower not in estimates]
        if missing and state not in estimates and len(estimates) <= MAX_STATES:
            stack += missing
            continue
        stack.pop()
        known_followers = [(estimates.get(follower), count) for follower, count in followers]
        estimates.setdefault(state, _add(automaton.by_uid[uid], costs[uid], known_followers))
    total = estimates[_next_state(automaton.entry, ())]
    has_lower_bounds = any(
        question.is_lower_bound for group in groups.values() for question in group
    )
    return replace(total, is_lower_bound=total.is_lower_bound or has_lower_bounds)


def _group_cost(questions: list[CostEstimate]) -> _Cost:
    """Return the cost of questions that advance side by side."""
    calls = max((question.calls for question in questions), default=0)
    return calls, sum(question.tokens for question in questions)


def _count_edges(action: Action) -> Counter[str]:
    """Return how many branches lead to each successor."""
    if len(action.successors) == 1:
        return Counter({action.successors[0]: _max_followed(action)})
    return Counter(action.successors)


def _add(
    action: Action, cost: _Cost, followers: list[tuple[CostEstimate | None, int]]
) -> CostEstimate:
    """Return the cost of an action with its most expensive followers; None is unknown."""
    estimates = [(estimate, count) for estimate, count in followers if estimate is not None]
    followed = _max_followed(action)

    def sum_largest(costs: Iterable[tuple[int, int]]) -> int:
        total, left = 0, followed
        for value, count in sorted(costs, reverse=True):
            total += value * min(count, left)
            left -= min(count, left)
        return total

    return CostEstimate(
        calls=cost[0] + max((estimate.calls for estimate, _ in estimates), default=0),
        tokens=cost[1] + sum_largest((estimate.tokens, count) for estimate, count in estimates),
        paths=sum_largest((estimate.paths, count) for estimate, count in estimates) or followed,
        is_lower_bound=len(estimates) < len(followers)
        or any(estimate.is_lower_bound for estimate, _ in estimates),
    )


def _visit_cost(automaton: AutomatonGraph, action: Action, client: BackendClient | None) -> _Cost:
    match action:
        case Text():
            calls = 1 if action.evaluate else 0
            return (calls, 0 if client is None else _count_text_tokens(action, client))
        case Messages():
            return (0, 0 if client is None else _count_message_tokens(action, client))
        case Choose():
            thoughts = 0 if action.thinking is None else action.thinking.length
            count = 0 if client is None else _count_choice_tokens(automaton, action, client)
            return (thoughts + _count_choice_calls(action, client), thoughts + count)
        case Complete():
            thoughts = 0 if action.thinking is None else action.thinking.length
            texts = max(action.beams, action.samples)
            return (thoughts + action.length, thoughts + action.length * texts)
    return (0, 0)


def _count_choice_calls(action: Choose, client: BackendClient | None) -> int:
    """Return the number of calls for a choice; with `top`, each one may read a single node."""
    if action.top is None:
        return 1
    # Without a tokenizer, a token may be one byte.
    ids: Iterable[Sequence[int]]
    texts = _texts_of_choices(action)
    ids = [text.encode() for text in texts] if client is None else _tokenize(client, texts)
    nodes = {tuple(path[:length]) for path in ids for length in range(len(path))}
    if action.suffix is EOS:
        nodes |= {tuple(path) for path in ids}
    # For pmi, one more call reads the tree after the unconditional prompt.
    return len(nodes) + (action.norm == "pmi")


def _texts_of_choices(action: Choose) -> list[str]:
    suffix = action.suffix if isinstance(action.suffix, str) else ""
    return [text + suffix for choice in action.choices for text in texts_of(choice)]


def _tokenize(client: BackendClient, texts: Sequence[str]) -> Sequence[Sequence[int]]:
    return client.tokenize(texts, at_start=False)


def _count_choice_tokens(automaton: AutomatonGraph, action: Choose, client: BackendClient) -> int:
    """Return the size of a choice's token tree; "pmi" needs a second one after another text."""
    choices = _texts_of_choices(action)
    choice_ids = _tokenize(client, choices)
    # Choices share the evaluation of common prefixes.
    count = len({tuple(ids[:length]) for ids in choice_ids for length in range(1, len(ids) + 1)})
    if action.suffix is EOS:
        count += len(choices)
    if action.norm != "pmi":
        return count
    prompts: Sequence[str] = [action.unconditional_prompt or ""]
    if uses_constant_tail(action, client):
        # At most all of them together.
        prompts = find_texts_before(automaton, action).tails
    return 2 * count + sum(map(len, client.tokenize(prompts, at_start=True))) + 1


def _count_text_tokens(action: Text, client: BackendClient) -> int:
    match action.text:
        case Prompt(pieces):
            text = join_text(pieces)
        case Template(source):
            text = source
        case text:
            pass
    return len(client.tokenize([text], at_start=False)[0]) if text else 0


def _count_message_tokens(action: Messages, client: BackendClient) -> int:
    """Return the number of tokens of messages in the chat template, as a conversation alone."""
    messages = [
        {"role": message.role, "content": source_of(message.content)} for message in action.messages
    ]
    try:
        prompt = client.chat_prompt(messages, True, action.template_arguments)
        return len(encode_prompt(client, prompt))
    except (CapabilityError, InputError):
        # Without a template, or with one that refuses the beginning of a conversation: the run
        # reports it.
        contents = [message["content"] for message in messages]
        return sum(map(len, client.tokenize(contents, at_start=False)))


def _max_followed(action: Action) -> int:
    """Return the maximum number of branches that a run follows."""
    match action:
        case Choose():
            return min(action.width or len(action.choices), len(action.choices))
        case Complete():
            count = action.samples or action.beams
            return min(action.width or count, count)
    return 1


def _next_state(action: Action, visits: _Visits) -> _State:
    if action.max_visits is None:
        return action.uid, visits
    counts = dict(visits)
    counts[action.uid] = counts.get(action.uid, 0) + 1
    return action.uid, tuple(sorted(counts.items()))


def _is_exhausted(action: Action, visits: _Visits) -> bool:
    return action.max_visits is not None and dict(visits).get(action.uid, 0) >= action.max_visits
