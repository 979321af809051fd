"""Going on from a text and a prompt, a step of codes at a time, many rows at once.

Legend: B batch, T text, A steps of a prompt, G codes in a step, F codes, V entries of the codebook and the
end symbol, K codes of the past.
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
from allophone_valle.masks import sequence_mask, text_then_past
from allophone_valle.sampling import DRAWS, Noise, draw

NOISE_STEPS = 64
"""Steps for which noise is drawn at once."""
LOOK_EVERY = 16
"""On a GPU, after how many steps to look whether all rows have ended: it has to catch up each time."""
WARM_UP_STEPS = 3
"""Steps before one is captured, in which libraries allocate what they need."""


@frozen(kw_only=True, eq=False)
class ArPrefix:
    """What the AR model continues.

    text: [T], ids of all that is said, the prompt's included. codes: [F], the prompt's first codebook.
    least, most: how many codes may follow. seed: of all that is random in the row.
    """

    text: Tensor
    codes: Tensor
    least: int
    most: int
    seed: int


@frozen(kw_only=True, eq=False)
class Continuation:
    """codes: [F], without the end. ended: whether it came to its end, or was stopped after `most`."""

    codes: Tensor
    ended: bool


@torch.inference_mode()
def continue_codes(
    model: ArModel, prefixes: Sequence[ArPrefix], controls: ValleControls
) -> list[Continuation]:
    """Continue several prefixes at once, each as it would alone."""
    decoder = Decoder(model, prefixes, controls)
    decoder.run()
    return decoder.continuations()


class Decoder:
    """A batch that is being continued.

    Texts are padded at their ends and prompts before their beginnings, so that the next step has the
    same slot of the cache in every row. What changes from step to step is in tensors that stay where
    they are, and changes on the device: so a step can be captured in a CUDA graph.

    history: [B, K + steps * G], the last codes of the prompt, -1 where it has fewer, and what followed.
    static: whether a step does the same each time, whatever came before it, as a graph has to: on GPUs.
    """

    def __init__(
        self, model: ArModel, prefixes: Sequence[ArPrefix], controls: ValleControls
    ) -> None:
        self.model = model
        self.controls = controls
        self.device = device = model.head.weight.device
        self.static = device.type == "cuda"
        self.group = group = model.config.group_size
        self.steps = math.ceil(max(row.most for row in prefixes) / group)
        self.least = torch.tensor([row.least for row in prefixes], device=device)
        self.most = torch.tensor([row.most for row in prefixes], device=device)
        self.ended = torch.zeros(len(prefixes), dtype=torch.bool, device=device)
        self.codes = torch.zeros(len(prefixes), group, dtype=torch.long, device=device)
        self.taken = torch.zeros(1, dtype=torch.long, device=device)
        window = controls.repetition_window
        self.window = torch.arange(window, device=device)
        self.history = torch.full((len(prefixes), window + self.steps * group), -1, device=device)
        for past, row in zip(self.history, prefixes, strict=True):
            last = row.codes[-window:]
            past[window - len(last) : window] = last
        entries = model.end + 1
        self.noise = Noise([row.seed for row in prefixes], group=group, entries=entries)
        self.noise_block = torch.empty(
            len(prefixes), NOISE_STEPS, group, DRAWS, entries, device=device
        )
        self._read([row.text for row in prefixes], [row.codes for row in prefixes])

    def _read(self, texts: Sequence[Tensor], prompts: Sequence[Tensor]) -> None:
        """Put texts and prompts into the cache, and predict the first step after them."""
        device, model = self.device, self.model
        text = pad_sequence(list(texts), batch_first=True)
        text_lengths = torch.tensor([len(row) for row in texts], device=device)
        steps = [self._as_steps(codes) for codes in prompts]
        lengths = torch.tensor([len(row) for row in steps], device=device)
        size = int(lengths.max())
        padding = size - lengths
        codes = torch.stack([functional.pad(row, (0, 0, size - len(row), 0)) for row in steps])
        real = torch.arange(size, device=device) >= padding.unsqueeze(1)
        positions = (torch.arange(size, device=device) - padding.unsqueeze(1)).clamp(min=0)
        valid = torch.cat([sequence_mask(text_lengths, text.size(1)), real], dim=1)
        self.padded = not bool(valid.all())
        self.seen = functional.pad(valid, (0, self.steps))
        self.position = lengths.unsqueeze(1)  # [B, 1]
        self.cache = model.empty_cache(batch=len(texts), capacity=self.seen.size(1))
        self.cache.slots = torch.arange(valid.size(1), device=device)
        self.cache.visible = valid.size(1)
        hidden = torch.cat([model.embed_text(text), model.embed_codes(codes, positions)], dim=1)
        mask = text_then_past(valid, text.size(1))
        hidden = model.transformer(hidden, mask, cache=self.cache)
        self.logits = model.predict(hidden[:, -1:]).squeeze(1).float()  # [B, G, V]
        self.cache.slots = torch.full((1,), valid.size(1), device=device)

    def _as_steps(self, codes: Tensor) -> Tensor:
        """codes [F] -> [A, G], without the first codes that fill no step."""
        grouped = codes[len(codes) % self.group :].view(-1, self.group)
        if not self.model.config.begin_symbol:
            return grouped
        return functional.pad(grouped, (0, 0, 1, 0), value=self.model.begin)

    def run(self) -> None:
        """Step until all rows have ended, or have as many codes as they may."""
        look_every = LOOK_EVERY if self.static else 1
        step: Callable[[], None] = self.step
        self.begin()
        for taken in range(1, self.steps):
            if taken % look_every == 0 and self._is_done():
                return
            if taken % NOISE_STEPS == 0:
                self._draw_noise()
            if self.static and taken == WARM_UP_STEPS:
                step = capture_cuda_graph(self.step)
            step()

    def begin(self) -> None:
        """Draw the first step."""
        self._draw_noise()
        self._draw_codes()

    def step(self) -> None:
        """Predict what follows the codes that were drawn last, and draw."""
        self.seen.index_fill_(1, self.cache.slots, True)
        self.cache.visible = self.seen.size(1) if self.static else self.cache.visible + 1
        masked = self.padded or self.static
        mask = self.seen[:, None, None, : self.cache.visible] if masked else None
        hidden = self.model.embed_codes(self.codes.unsqueeze(1), self.position)
        hidden = self.model.transformer(hidden, mask, cache=self.cache)
        self.logits.copy_(self.model.predict(hidden).squeeze(1))
        self.position += 1
        self.cache.slots += 1
        self._draw_codes()

    def _draw_noise(self) -> None:
        self.noise_block.copy_(self.noise.block(NOISE_STEPS), non_blocking=True)

    def _draw_codes(self) -> None:
        """The codes of this step, which are put into the history."""
        end, window = self.model.end, len(self.window)
        noise = self.noise_block.index_select(1, self.taken % NOISE_STEPS).squeeze(1)
        for index in range(self.group):
            count = self.taken * self.group + index
            logits = self.logits[:, index]
            logits[:, end].masked_fill_(count < self.least, -torch.inf)
            past = self.history.index_select(1, count + self.window)
            code = draw(logits, noise[:, index], past, self.controls, end=end)
            self.history.index_copy_(1, count + window, code.unsqueeze(1))
            self.codes[:, index] = code
            self.ended |= code == end
        self.taken += 1

    def _is_done(self) -> bool:
        return bool((self.ended | (self.taken * self.group >= self.most)).all())

    def continuations(self) -> list[Continuation]:
        """What followed in each row."""
        found = []
        for row, most in zip(self.history[:, len(self.window) :], self.most.tolist(), strict=True):
            said = row[: min(most, int(self.taken) * self.group)]
            ends = (said == self.model.end).nonzero()
            ended = len(ends) > 0
            found.append(Continuation(codes=said[: int(ends[0])] if ended else said, ended=ended))
        return found
