"""Batched autoregressive decoding from texts and prompts.

Legend: B batch, T text, A steps of a prompt, G codes per step, F codes, V entries of the codebook and
the end symbol, K codes in the repetition window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from allophone.inference.devices import capture_cuda_graph
from allophone_valle.ar import ArModel
from allophone_valle.config import ValleControls
from allophone_valle.masks import prefix_lm_mask, sequence_mask
from allophone_valle.sampling import DRAWS, GumbelNoise, sample_codes

NOISE_STEPS = 64
"""Number of steps whose noise is generated at once."""
END_CHECK_INTERVAL = 16
"""On a GPU, steps between checks whether all rows have ended; each check synchronizes with the device."""
WARMUP_STEPS = 3
"""Steps before CUDA graph capture, in which libraries allocate their workspaces."""


@frozen(kw_only=True, eq=False)
class ArPrefix:
    """A text and a prompt for the AR model to continue.

    text: [T], ids, including those of the prompt. codes: [F], the first codebook of the prompt.
    min_length, max_length: bounds on the number of generated codes. seed: of the row's noise.
    """

    text: Tensor
    codes: Tensor
    min_length: int
    max_length: int
    seed: int


@frozen(kw_only=True, eq=False)
class Continuation:
    """codes: [F], without the end symbol. ended: whether the end was predicted before `max_length`."""

    codes: Tensor
    ended: bool


@torch.inference_mode()
def continue_codes(
    model: ArModel, prefixes: Sequence[ArPrefix], controls: ValleControls
) -> list[Continuation]:
    """Continue a batch of prefixes; each row gets the same codes as it would alone."""
    decoder = ArDecoder(model, prefixes, controls)
    decoder.run()
    return decoder.continuations()


class ArDecoder:
    """State of a batch that is being decoded.

    Texts are padded on the right and prompts on the left, so that the next step uses the same cache slot
    in every row. All state that changes between steps is in preallocated tensors that are updated on
    the device, so that a step can be captured in a CUDA graph.

    history: [B, K + steps * G], the last codes of the prompt, -1 if it has fewer, then the generated codes.
    static: whether every step runs the same operations, as a CUDA graph requires; true on GPUs.
    """

    def __init__(
        self, model: ArModel, prefixes: Sequence[ArPrefix], controls: ValleControls
    ) -> None:
        self.model = model
        self.controls = controls
        self.device = device = model.head.weight.device
        self.static = device.type == "cuda"
        self.group = group = model.config.group_size
        self.steps = math.ceil(max(row.max_length for row in prefixes) / group)
        self.min_length = torch.tensor([row.min_length for row in prefixes], device=device)
        self.max_length = torch.tensor([row.max_length for row in prefixes], device=device)
        self.ended = torch.zeros(len(prefixes), dtype=torch.bool, device=device)
        self.codes = torch.zeros(len(prefixes), group, dtype=torch.long, device=device)
        self.steps_done = torch.zeros(1, dtype=torch.long, device=device)
        window = controls.repetition_window
        self.window = torch.arange(window, device=device)
        self.history = torch.full((len(prefixes), window + self.steps * group), -1, device=device)
        for past, row in zip(self.history, prefixes, strict=True):
            last = row.codes[-window:]
            past[window - len(last) : window] = last
        entries = model.end + 1
        self.noise = GumbelNoise([row.seed for row in prefixes], group=group, entries=entries)
        self.noise_block = torch.empty(
            len(prefixes), NOISE_STEPS, group, DRAWS, entries, device=device
        )
        self._prefill([row.text for row in prefixes], [row.codes for row in prefixes])

    def _prefill(self, texts: Sequence[Tensor], prompts: Sequence[Tensor]) -> None:
        """Fill the cache with texts and prompts, and predict the logits of the first step."""
        device, model = self.device, self.model
        text = pad_sequence(list(texts), batch_first=True)
        text_lengths = torch.tensor([len(row) for row in texts], device=device)
        steps = [self._as_steps(codes) for codes in prompts]
        lengths = torch.tensor([len(row) for row in steps], device=device)
        size = int(lengths.max())
        padding = size - lengths
        codes = torch.stack([functional.pad(row, (0, 0, size - len(row), 0)) for row in steps])
        valid_codes = torch.arange(size, device=device) >= padding.unsqueeze(1)
        positions = (torch.arange(size, device=device) - padding.unsqueeze(1)).clamp(min=0)
        valid = torch.cat([sequence_mask(text_lengths, text.size(1)), valid_codes], dim=1)
        self.padded = not bool(valid.all())
        self.key_mask = functional.pad(valid, (0, self.steps))
        self.position = lengths.unsqueeze(1)  # [B, 1]
        self.cache = model.empty_cache(batch=len(texts), capacity=self.key_mask.size(1))
        self.cache.slots = torch.arange(valid.size(1), device=device)
        self.cache.visible = valid.size(1)
        hidden = torch.cat([model.embed_text(text), model.embed_codes(codes, positions)], dim=1)
        mask = prefix_lm_mask(valid, text.size(1))
        hidden = model.transformer(hidden, mask, cache=self.cache)
        self.logits = model.predict(hidden[:, -1:]).squeeze(1).float()  # [B, G, V]
        self.cache.slots = torch.full((1,), valid.size(1), device=device)

    def _as_steps(self, codes: Tensor) -> Tensor:
        """Group codes [F] -> [A, G]; drops leading codes that do not fill a step."""
        grouped = codes[len(codes) % self.group :].view(-1, self.group)
        if not self.model.config.begin_symbol:
            return grouped
        return functional.pad(grouped, (0, 0, 1, 0), value=self.model.begin)

    def run(self) -> None:
        """Decode until all rows have ended or reached their maximum length."""
        check_interval = END_CHECK_INTERVAL if self.static else 1
        step: Callable[[], None] = self.step
        self.first_step()
        for done in range(1, self.steps):
            if done % check_interval == 0 and self._is_done():
                return
            if done % NOISE_STEPS == 0:
                self._generate_noise()
            if self.static and done == WARMUP_STEPS:
                step = capture_cuda_graph(self.step)
            step()

    def first_step(self) -> None:
        """Sample the codes of the first step."""
        self._generate_noise()
        self._sample_step()

    def step(self) -> None:
        """Feed the last codes to the model and sample the next ones."""
        self.key_mask.index_fill_(1, self.cache.slots, True)
        self.cache.visible = self.key_mask.size(1) if self.static else self.cache.visible + 1
        needs_mask = self.padded or self.static
        mask = self.key_mask[:, None, None, : self.cache.visible] if needs_mask else None
        hidden = self.model.embed_codes(self.codes.unsqueeze(1), self.position)
        hidden = self.model.transformer(hidden, mask, cache=self.cache)
        self.logits.copy_(self.model.predict(hidden).squeeze(1))
        self.position += 1
        self.cache.slots += 1
        self._sample_step()

    def _generate_noise(self) -> None:
        self.noise_block.copy_(self.noise.block(NOISE_STEPS), non_blocking=True)

    def _sample_step(self) -> None:
        """Sample the codes of this step and append them to the history."""
        end, window = self.model.end, len(self.window)
        noise = self.noise_block.index_select(1, self.steps_done % NOISE_STEPS).squeeze(1)
        for index in range(self.group):
            count = self.steps_done * self.group + index
            logits = self.logits[:, index]
            logits[:, end].masked_fill_(count < self.min_length, -torch.inf)
            past = self.history.index_select(1, count + self.window)
            code = sample_codes(logits, noise[:, index], past, self.controls, end=end)
            self.history.index_copy_(1, count + window, code.unsqueeze(1))
            self.codes[:, index] = code
            self.ended |= code == end
        self.steps_done += 1

    def _is_done(self) -> bool:
        return bool((self.ended | (self.steps_done * self.group >= self.max_length)).all())

    def continuations(self) -> list[Continuation]:
        """Return the generated codes of each row."""
        results = []
        window = len(self.window)
        for row, limit in zip(self.history[:, window:], self.max_length.tolist(), strict=True):
            codes = row[: min(limit, int(self.steps_done) * self.group)]
            ends = (codes == self.model.end).nonzero()
            ended = len(ends) > 0
            results.append(
                Continuation(codes=codes[: int(ends[0])] if ended else codes, ended=ended)
            )
        return results
