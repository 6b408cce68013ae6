"""Pipelines of Transformers: to import this registers their tasks.

The tasks are "token-choice", "thought-automaton" and "text-completion".

import autocog_tf.pipelines
from transformers import pipeline

pipe = pipeline("token-choice", model="gpt2-medium", choices=[" Paris", " Lyon"])
print(pipe("The capital of France is"))
"""

from __future__ import annotations

from transformers import AutoModelForCausalLM
from transformers.pipelines import PIPELINE_REGISTRY

from autocog_tf.pipelines.text_completion import TextCompletionPipeline
from autocog_tf.pipelines.thought_automaton import ThoughtAutomatonPipeline
from autocog_tf.pipelines.token_choice import TokenChoicePipeline

for task, pipeline_class in (
    ("token-choice", TokenChoicePipeline),
    ("thought-automaton", ThoughtAutomatonPipeline),
    ("text-completion", TextCompletionPipeline),
):
    PIPELINE_REGISTRY.register_pipeline(
        task, pipeline_class=pipeline_class, pt_model=AutoModelForCausalLM, type="text"
    )
    # With this attribute, `save_pretrained` would copy this code beside the weights, and
    # Transformers would require `trust_remote_code` to load the folder.
    del pipeline_class._registered_impl

__all__ = ["TextCompletionPipeline", "ThoughtAutomatonPipeline", "TokenChoicePipeline"]
