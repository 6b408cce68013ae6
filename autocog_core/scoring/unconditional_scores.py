"""Log-probabilities of choices after the unconditional prompt, for choices that are scored."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar
from weakref import WeakKeyDictionary, proxy

import numpy as np
from numpy.typing import NDArray

from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.choice_encoding import EncodedChoices
from autocog_core.scoring.choice_tree import TokenChoiceTree
from autocog_core.scoring.unconditional_prompt import encode_unconditional_prompt
from autocog_core.types.choice import EOS, ChoiceRequest, ChoiceScores
from autocog_core.types.token_tree import TokenTree


class UnconditionalScorer:
    """Log-probabilities of choices after the unconditional prompt of their request.

    Rows of a data set often have the same ones. So the last of them are kept.

    :param client: the model's client.
    """

    _by_client: ClassVar[WeakKeyDictionary[BackendClient, UnconditionalScorer]] = (
        WeakKeyDictionary()
    )

    def __init__(self, client: BackendClient) -> None:
        self._client = client
        self._score = lru_cache(maxsize=256)(self._score_tokens)

    @classmethod
    def for_model(cls, client: BackendClient) -> UnconditionalScorer:
        """Return the scorer of a model, which all its calls share."""
        scorer = cls._by_client.get(client)
        if scorer is None:
            own: BackendClient = proxy(client)
            scorer = cls._by_client.setdefault(client, cls(own))
        return scorer

    def logprobs(self, tree: TokenChoiceTree) -> NDArray[np.float64]:
        """Return the log-probabilities of a tree's choices after its unconditional prompt.

        :param tree: a tree for the norm "pmi".
        :returns: float64 (choices,), in the order given.
        """
        assert tree.unconditional_ids is not None
        ids, choice_ids = tree.unconditional_ids, tree.encoded.choice_ids
        is_isolated = tree.isolated_start is not None
        return np.array(self._score(ids, choice_ids, bool(tree.eos), is_isolated))

    def pmi(self, request: ChoiceRequest, scores: ChoiceScores) -> tuple[tuple[float, ...], str]:
        """Return the `pmi` of each choice, and the unconditional prompt ("" is BOS alone).

        :param request: the request.
        :param scores: its exact scores.
        :raises InputError: naming `unconditional_prompt`, if there is none.
        :raises CapabilityError: if the backend returns no log-probabilities of named tokens.
        """
        ids, text = encode_unconditional_prompt(self._client, request, scores.healed_text)
        has_eos = request.suffix is EOS
        tokens = tuple(score.tokens[:-1] if has_eos else score.tokens for score in scores.scores)
        after_prompt = self._score(ids, tokens, has_eos, request.isolate)
        # An impossible choice stays one: -inf minus -inf has no value.
        return tuple(
            score.logprob - after if score.logprob > -float("inf") else score.logprob
            for score, after in zip(scores.scores, after_prompt, strict=True)
        ), text

    def _score_tokens(
        self,
        ids: tuple[int, ...],
        choice_ids: tuple[tuple[int, ...], ...],
        has_eos: bool,
        is_isolated: bool,
    ) -> tuple[float, ...]:
        info = self._client.info
        tree = TokenChoiceTree(
            encoded=EncodedChoices(
                shared_ids=ids, choice_ids=choice_ids, boundary="clean", healed_text=""
            ),
            tree=TokenTree.build(choice_ids),
            eos=tuple(id_ for id_ in info.eos if id_ < info.vocabulary_size) if has_eos else (),
            unconditional_ids=None,
            isolated_start=0 if is_isolated else None,
        )
        return tuple(tree.logprobs_from(self._client.greedy_tree(tree.to_queries())[0]).tolist())
