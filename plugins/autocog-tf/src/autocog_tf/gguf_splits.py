r"""How the tokenizers of .gguf files split text into the parts that byte-level BPE merges inside.

A .gguf file does not contain this rule. It only names it (`tokenizer.ggml.pre`), as llama.cpp does.
Each rule here is that of the tokenizer.json of the models that llama.cpp gives the name. Where
llama.cpp only approximates a rule (it has no classes such as `\p{Lu}`), the model's own rule stands
here, because the model was trained on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, Digits, Punctuation, Sequence, Split

_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_BLANKS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_LLAMA_3 = rf"{_CONTRACTION}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|{_BLANKS}"
_QWEN_2 = rf"{_CONTRACTION}|{_WORD}|\p{{N}}|{_SIGNS}|{_BLANKS}"
_QWEN_3_5 = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_BLANKS}"
)

_SEED_CODER = rf"{_CONTRACTION}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_BLANKS}"

#: Words in which small letters follow capital letters.
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED_WORDS = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+",
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*",
)
_CASED_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
_TEKKEN = rf"{'|'.join(_CASED_WORDS)}|\p{{N}}|{_CASED_SIGNS}|{_BLANKS}"
_GPT_4O = (
    "|".join(rf"{word}{_CONTRACTION}?" for word in _CASED_WORDS)
    + rf"|\p{{N}}{{1,3}}|{_CASED_SIGNS}|{_BLANKS}"
)

_GPT_2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def _ranges(text: str) -> str:
    """Return hexadecimal ranges ("41-5A B5") as the inside of a character class."""
    return re.sub("[0-9A-F]+", lambda match: rf"\x{{{match[0]}}}", text).replace(" ", "")


#: Letters with a case, as hexadecimal ranges: Latin, Greek, Cyrillic and some other scripts.
_CASED_LETTERS = (
    "41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F "
    "386 388-38A 38C 38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD "
    "1C90-1CBA 1CBD-1CBF 1D00-1D2B 1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 "
    "1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 "
    "1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 "
    "2119-211D 2124 2126 2128 212A-212D 212F-2134 2139 213C-213F 2145-2149 214E 2183 2184 "
    "2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 A640-A66D A680-A69B A722-A76F A771-A787 "
    "A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 "
    "104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943"
)
_ASIAN = r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+"
_DEEPSEEK_LLM = (
    "[\r\n]",
    rf"\s?[{_ranges(_CASED_LETTERS)}]+",
    r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+",
    r"\s+$",
    _ASIAN,
    r"\p{N}",
)
_DEEPSEEK_CODER = ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _ASIAN, r"\p{N}")
_DEEPSEEK_3 = (
    r"\p{N}{1,3}",
    r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_BLANKS}",
)
_BLOOM = r" ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+"
_UNKNOWN = (r"[\p{P}\$\+<=>\^~\|]+", _GPT_2, r"\p{N}+", "[0-9][0-9][0-9]")


def _split(*patterns: str) -> Sequence:
    """Split at each pattern in turn; what is between two matches is a part too."""
    splits: list[Any] = [Split(Regex(pattern), behavior="isolated") for pattern in patterns]
    return Sequence([*splits, ByteLevel(add_prefix_space=False, use_regex=False)])


@dataclass(frozen=True)
class TextSplit:
    """How one family of tokenizers splits text.

    :ivar make: returns the pre-tokenizer.
    :ivar ignores_merges: whether a part that is a token becomes it, whatever the merges say.
    :ivar adds_bos: whether BOS is added if the file does not say.
    """

    make: Callable[[], Any]
    ignores_merges: bool = False
    adds_bos: bool = False


def _gpt_2() -> Any:
    return ByteLevel(add_prefix_space=False)


def _digits_then_gpt_2() -> Any:
    return Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])


def _falcon() -> Any:
    # Digits are found among the characters that stand for bytes, and some of these are numbers:
    # a word with the byte 0xB2, which is written as a superscript two, is split there.
    return Sequence(
        [
            Punctuation("contiguous"),
            ByteLevel(add_prefix_space=False),
            Digits(individual_digits=False),
            Split(Regex("[0-9][0-9][0-9]"), behavior="isolated"),
        ]
    )


_SPLITS: tuple[tuple[TextSplit, str], ...] = (
    (
        TextSplit(_gpt_2),
        "gpt-2 phi-2 gigachat mellum mpt olmo jais a.x-4.0 exaone4 trillion granite-docling",
    ),
    (
        TextSplit(_digits_then_gpt_2),
        "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
    ),
    (
        TextSplit(lambda: _split(_LLAMA_3), ignores_merges=True, adds_bos=True),
        "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2",
    ),
    (TextSplit(lambda: _split(_LLAMA_3)), "dbrx smaug-bpe chatglm-bpe"),
    (TextSplit(lambda: _split(_LLAMA_3), ignores_merges=True), "glm4 glm5"),
    (
        TextSplit(lambda: _split(_QWEN_2)),
        "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2",
    ),
    (TextSplit(lambda: _split(_QWEN_3_5)), "qwen35"),
    (TextSplit(lambda: _split(_SEED_CODER)), "seed-coder"),
    (TextSplit(lambda: _split(_GPT_4O)), "gpt-4o llama4 kanana2 talkie minimax-m2"),
    (TextSplit(lambda: _split(_TEKKEN), ignores_merges=True, adds_bos=True), "tekken"),
    (TextSplit(lambda: _split(*_DEEPSEEK_LLM)), "deepseek-llm"),
    (TextSplit(lambda: _split(*_DEEPSEEK_CODER)), "deepseek-coder"),
    (TextSplit(lambda: _split(*_DEEPSEEK_3)), "deepseek-v3 hunyuan-dense joyai-llm hy_v4"),
    (TextSplit(_falcon), "falcon"),
    (TextSplit(lambda: _split(_BLOOM)), "bloom poro-chat gpt3-finnish"),
    (TextSplit(lambda: _split(_BLOOM, r"\p{N}")), "viking"),
    # What llama.cpp does if a file does not say it.
    (TextSplit(lambda: _split(*_UNKNOWN)), "default"),
)

#: The rules by the name in the file.
TEXT_SPLITS = {name: split for split, names in _SPLITS for name in names.split()}
