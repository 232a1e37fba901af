"""The text that a language model reads with a page, its image tokens in place."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import InvalidInput
from ...models.spec import Prompt
from ..text import open_tokenizer

__all__ = ["PromptTokens", "token_inputs"]

_KEPT = 256
"""How many expanded prompts are kept: pages of one shape have the same."""


class PromptTokens:
    """Tokenizes a prompt in which the placeholder stands for the tokens of an image."""

    def __init__(self, prompt: Prompt, folder: Path) -> None:
        """Load the tokenizer from the model's folder.

        Raises:
            EnvironmentProblem: it is not a tokenizer.
            InvalidInput: it does not know the image token.
        """
        self._prompt = prompt
        self._tokenizer = open_tokenizer(folder / prompt.tokenizer)
        image_id = self._tokenizer.token_to_id(prompt.image_token)
        if image_id is None:
            raise InvalidInput(f"prompt: {prompt.tokenizer} has no token '{prompt.image_token}'")
        self.image_id: int = image_id
        self._encoded = lru_cache(maxsize=_KEPT)(self._encode)

    def ids(self, image: str) -> npt.NDArray[np.int64]:
        """Return the token ids, shape (t,), with ``image`` in the placeholder's place; not to be changed."""
        return self._encoded(image)

    def _encode(self, image: str) -> npt.NDArray[np.int64]:
        prompt = self._prompt
        text = prompt.text.replace(prompt.image_token, image)
        encoding = self._tokenizer.encode(text, add_special_tokens=prompt.add_special_tokens)
        ids = np.array(encoding.ids, dtype=np.int64)
        ids.flags.writeable = False
        return ids


def token_inputs(ids: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the graph's ``input_ids`` and ``attention_mask``, each shape (1, t)."""
    return {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), dtype=np.int64)}
