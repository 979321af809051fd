"""One of two ranks that quantize different vectors: python quantizing_rank.py RANK FOLDER"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch import distributed

from allophone_valle.codecs.quantizer import ResidualQuantizer


def main() -> None:
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    distributed.init_process_group(
        "gloo", init_method=(folder / "rendezvous").as_uri(), rank=rank, world_size=2
    )
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(codebooks=2, bins=8, dimension=4)
    torch.manual_seed(1 + rank)
    for _ in range(5):
        quantizer(torch.randn(2, 4, 20))
    torch.save(quantizer.state_dict(), folder / f"{rank}.pt")
    # As in `allophone.training.launch`: a regular interpreter exit may abort, if a gloo thread still waits
    # for a lock.
    os._exit(0)


if __name__ == "__main__":
    main()
