"""Imported voices hold exactly the weights of the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve
from safetensors.torch import save_file

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.files.run_folder import TRAINING_WEIGHTS
from allophone.inference.folder import StoredVoice, read_voice
from allophone.inference.importing import import_checkpoint
from allophone.registry import default_registry
from allophone.training.finetune import read_source
from allophone_vits.config import SIZES, DiscriminatorConfig, DurationConfig, VitsConfig
from allophone_vits.discriminator import Discriminator
from allophone_vits.importers import amphion, jaywalnut310, piper_checkpoint
from allophone_vits.importers.names import reference_discriminator_name, reference_generator_name
from allophone_vits.importers.piper_onnx import read_graph
from allophone_vits.model import Vits

onnx = pytest.importorskip("onnx")

SMALL = evolve(
    SIZES["x-low"],
    speaker_channels=256,
    posterior_encoder=evolve(SIZES["x-low"].posterior_encoder, layers=2),
    duration=DurationConfig(kind="deterministic", channels=32),
)
AUDIO = MelSpec()
IPA = ["_", "^", "$", "a", "b", "ə"]


def reference_state(
    config: VitsConfig, *, symbols: int, speakers: int
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The weights of a random model under our names and under the reference's."""
    torch.manual_seed(0)
    model = Vits(config, vocabulary_size=symbols, speakers=speakers, audio=AUDIO)
    ours = {name: torch.randn_like(weight) for name, weight in model.state_dict().items()}
    blocks = len(config.decoder.residual_kernel_sizes)
    paired = config.decoder.residual_block == "1"
    theirs = {
        reference_generator_name(name, blocks=blocks, paired=paired): weight
        for name, weight in ours.items()
    }
    assert len(theirs) == len(ours)
    return ours, theirs


@pytest.fixture(scope="module")
def discriminator() -> dict[str, torch.Tensor]:
    """A full-size discriminator's state under the reference's names; importers accept no other size."""
    state = Discriminator(DiscriminatorConfig()).state_dict()
    return {reference_discriminator_name(name): weight for name, weight in state.items()}


def model_section(config: VitsConfig) -> dict[str, Any]:
    return {
        "upsample_rates": list(config.decoder.upsample_rates),
        "resblock_dilation_sizes": [list(row) for row in config.decoder.residual_dilations],
    }


def assert_holds(voice: StoredVoice, config: VitsConfig, weights: dict[str, torch.Tensor]) -> None:
    assert voice.description.model == config
    assert voice.weights.keys() == weights.keys()
    rows = voice.vocabulary.symbols.size
    for name, weight in weights.items():
        expected = weight[:rows] if name == "text_encoder.embedding.weight" else weight
        torch.testing.assert_close(voice.weights[name], expected, msg=name)


@pytest.mark.parametrize(("speakers", "tensors"), [(0, 838), (109, 858)])
def test_names_match_the_published_models(speakers: int, tensors: int) -> None:
    _, theirs = reference_state(VitsConfig(), symbols=178, speakers=speakers)
    assert len(theirs) == tensors
    assert sum(weight.numel() for weight in theirs.values()) > 36_000_000
    for name in (
        "enc_p.encoder.attn_layers.5.emb_rel_v",
        "enc_q.enc.in_layers.15.weight_v",
        "flow.flows.6.enc.res_skip_layers.3.weight_g",
        "dp.flows.7.convs.norms_2.2.gamma",
        "dp.post_flows.1.proj.bias",
        "dec.resblocks.11.convs2.2.weight_g",
        "dec.ups.3.weight_v",
    ):
        assert name in theirs


def write_jaywalnut310(folder: Path, state: dict[str, torch.Tensor], **config: Any) -> Path:
    torch.save(
        {"model": state, "iteration": 3, "optimizer": {"state": {}}, "learning_rate": 2e-4},
        folder / "G_2000.pth",
    )
    data = {
        "sampling_rate": 22050, "filter_length": 1024, "hop_length": 256, "win_length": 1024,
        "n_mel_channels": 80, "mel_fmin": 0.0, "mel_fmax": None, "add_blank": True,
        "text_cleaners": ["english_cleaners2"], "n_speakers": 0,
    }  # fmt: skip
    data.update(config.pop("data", {}))
    content = {"data": data, "model": model_section(SMALL), **config}
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def test_reference_checkpoint(tmp_path: Path, discriminator: dict[str, torch.Tensor]) -> None:
    ours, theirs = reference_state(SMALL, symbols=178, speakers=0)
    source = write_jaywalnut310(tmp_path, theirs)
    torch.save({"model": {}}, source / "G_1000.pth")
    torch.save({"model": discriminator, "iteration": 3}, source / "D_2000.pth")
    destination = tmp_path / "voice"
    assert import_checkpoint(source, destination, None, default_registry()) == "vits.jaywalnut310"

    voice = read_voice(destination)
    assert_holds(voice, SMALL, ours)
    assert voice.description.audio == AUDIO
    assert voice.vocabulary.symbols.blank == "_"
    assert voice.vocabulary.symbols.ids["ə"] == jaywalnut310.PUBLISHED_SYMBOLS.index("ə")
    source_weights = read_source(destination, inference_module="generator")
    assert sum(name.startswith("discriminator.") for name in source_weights.weights) == len(
        discriminator
    )
    assert source_weights.weights["generator.decoder.input.bias"].equal(ours["decoder.input.bias"])


def test_symbols_and_speakers_are_read_from_forks(tmp_path: Path) -> None:
    ours, theirs = reference_state(SMALL, symbols=len(IPA), speakers=2)
    source = write_jaywalnut310(
        tmp_path, theirs, symbols=IPA, speakers={"b": 1, "a": 0}, data={"n_speakers": 2}
    )
    jaywalnut310.import_checkpoint(source / "G_2000.pth", tmp_path / "voice")
    voice = read_voice(tmp_path / "voice")
    assert_holds(voice, SMALL, ours)
    assert voice.vocabulary == Vocabulary(symbols=voice.vocabulary.symbols, speakers=("a", "b"))
    assert list(voice.vocabulary.symbols.ids) == IPA
    assert not (tmp_path / "voice" / TRAINING_WEIGHTS).exists()


def test_unknown_symbols_are_an_error(tmp_path: Path) -> None:
    _, theirs = reference_state(SMALL, symbols=40, speakers=0)
    source = write_jaywalnut310(tmp_path, theirs)
    with pytest.raises(UserError, match="40 symbols"):
        jaywalnut310.import_checkpoint(source, tmp_path / "voice")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda state: state.pop("dp.conv_2.bias"), "missing: dp.conv_2.bias"),
        (lambda state: state.update({"enc_q.odd": torch.ones(1)}), "unexpected: enc_q.odd"),
        (
            lambda state: state.update({"enc_q.proj.bias": torch.ones(7)}),
            r"enc_q.proj.bias: shape \[7\], expected \[192\]",
        ),
    ],
)
def test_mismatched_tensors_are_named(
    tmp_path: Path, damage: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    _, theirs = reference_state(SMALL, symbols=178, speakers=0)
    damage(theirs)
    source = write_jaywalnut310(tmp_path, theirs)
    with pytest.raises(UserError, match=message):
        jaywalnut310.import_checkpoint(source, tmp_path / "voice")
    assert not (tmp_path / "voice").exists()


def test_importing_a_discriminator_is_an_error(
    tmp_path: Path, discriminator: dict[str, torch.Tensor]
) -> None:
    source = write_jaywalnut310(tmp_path, discriminator)
    with pytest.raises(UserError, match="does not contain a generator"):
        jaywalnut310.import_checkpoint(source, tmp_path / "voice")


def test_unsafe_pickles_are_rejected(tmp_path: Path) -> None:
    source = write_jaywalnut310(tmp_path, {})
    torch.save({"model": Path.exists}, source / "G_3000.pth")
    with pytest.raises(UserError, match="not loaded, for safety"):
        jaywalnut310.import_checkpoint(source, tmp_path / "voice")


def test_piper_checkpoint(tmp_path: Path) -> None:
    ours, theirs = reference_state(SMALL, symbols=256, speakers=3)
    folder = tmp_path / "lightning_logs" / "version_0" / "checkpoints"
    folder.mkdir(parents=True)
    source = folder / "epoch=1-step=2.ckpt"
    torch.save(
        {
            "state_dict": {f"model_g.{name}": weight for name, weight in theirs.items()},
            "hyper_parameters": {
                "upsample_rates": "(8, 8, 4)",
                "resblock_dilation_sizes": ((1, 2), (2, 6), (3, 12)),
                "hop_length": 256,
                "dataset": [Path("/data/dataset.jsonl")],
            },
        },
        source,
    )
    settings = {
        "audio": {"sample_rate": 16000},
        "espeak": {"voice": "de"},
        "inference": {"noise_scale": 0.5, "length_scale": 1, "noise_w": 0.7},
        "phoneme_id_map": {symbol: [id] for id, symbol in enumerate(IPA)},
        "num_speakers": 3,
        "speaker_id_map": {"eva": 2, "max": 0},
    }
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert piper_checkpoint.recognises(source)
    piper_checkpoint.import_checkpoint(source, tmp_path / "voice")

    voice = read_voice(tmp_path / "voice")
    assert_holds(voice, SMALL, ours)
    assert voice.description.audio == evolve(AUDIO, sample_rate=16000)
    assert voice.description.text.language == "de"
    assert voice.description.controls == {
        "noise_scale": 0.5, "length_scale": 1.0, "noise_scale_duration": 0.7,
    }  # fmt: skip
    assert voice.vocabulary.speakers == ("max", "1", "eva")
    assert voice.vocabulary.symbols.encode(["a"]) == [1, 0, 3, 0, 2]


def onnx_file(path: Path, nodes: list[Any], **initializers: np.ndarray) -> Path:
    """Write an ONNX graph of `nodes`; their inputs need no producers."""
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in initializers.items()]
    graph = onnx.helper.make_graph(nodes, "graph", [], [], initializer=tensors)
    onnx.save(onnx.helper.make_model(graph), str(path))
    return path


def named(operator: str, inputs: list[str], module: str, number: str = "") -> Any:
    name = f"/{module}/{operator}{number}"
    return onnx.helper.make_node(operator, inputs, [f"{name}_output_0"], name=name)


DECODER = named("Relu", ["z"], "dec/conv_pre")
SCALE = np.array([[0.5], [-1.5]], dtype=np.float32)


@pytest.mark.parametrize(
    ("nodes", "stored"),
    [
        ([], {"/dp/flows.0/Exp_output_0": np.exp(-SCALE)}),
        ([named("Exp", ["onnx::Exp_1"], "dp/flows.0")], {"onnx::Exp_1": -SCALE}),
        (
            [
                named("Neg", ["dp.flows.0.logs"], "dp/flows.0"),
                named("Exp", ["/dp/flows.0/Neg_output_0"], "dp/flows.0"),
            ],
            {"dp.flows.0.logs": SCALE},
        ),
    ],
    ids=["folded", "half folded", "not folded"],
)
def test_duration_scale_is_read_however_far_it_is_folded(
    tmp_path: Path, nodes: list[Any], stored: dict[str, np.ndarray]
) -> None:
    users = [
        DECODER,
        named("Gather", ["sid", "input"], "enc_p/emb"),
        named("Sub", ["z", "shift"], "dp/flows.0"),
        named("Mul", ["/dp/flows.0/Sub_output_0", "/dp/flows.0/Exp_output_0"], "dp/flows.0"),
    ]
    embedding, shift = np.ones((4, 2), np.float32), np.full((2, 1), 3, np.float32)
    path = onnx_file(
        tmp_path / "voice.onnx", [*nodes, *users], sid=embedding, shift=shift, **stored
    )
    tensors = read_graph(path).tensors
    torch.testing.assert_close(tensors["dp.flows.0.logs"], torch.from_numpy(SCALE))
    assert tensors["dp.flows.0.m"].tolist() == shift.tolist()
    assert tensors["enc_p.emb.weight"].shape == (4, 2)


def test_norms_that_share_tensors_are_found(tmp_path: Path) -> None:
    ones, zeros, small = (
        np.full(size, value, np.float32) for size, value in ((2, 1), (2, 0), ((), 1e-5))
    )
    nodes = [DECODER, named("Gather", ["embedding", "input"], "enc_p/emb")]
    for layer in range(2):
        module = f"enc_p/encoder/norm_layers_1.{layer}"
        nodes += [
            named("Add", ["variance", "epsilon"], module),
            named("Mul", [f"/{module}/Div_output_0", "shared"], module),
            named(
                "Add",
                [f"/{module}/Mul_output_0", "enc_p.encoder.norm_layers_1.0.beta"],
                module,
                "_1",
            ),
        ]
    path = onnx_file(
        tmp_path / "voice.onnx",
        nodes,
        embedding=np.ones((4, 2), np.float32),
        shared=ones,
        epsilon=small,
        **{"enc_p.encoder.norm_layers_1.0.beta": zeros},
    )
    tensors = read_graph(path).tensors
    for layer in range(2):
        assert tensors[f"enc_p.encoder.norm_layers_1.{layer}.gamma"].tolist() == [1, 1]
        assert tensors[f"enc_p.encoder.norm_layers_1.{layer}.beta"].tolist() == [0, 0]


def test_files_without_module_names_are_rejected(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Gather", ["12", "input"], ["13"], name="Gather_5")
    path = onnx_file(tmp_path / "voice.onnx", [node], **{"12": np.ones((4, 2), np.float32)})
    with pytest.raises(UserError, match="no node is named after a module of VITS"):
        read_graph(path)
    (tmp_path / "voice.onnx").write_bytes(b"not a model")
    with pytest.raises(UserError, match="not a valid ONNX file"):
        read_graph(path)


@pytest.mark.parametrize("as_safetensors", [True, False])
def test_amphion_experiment(
    tmp_path: Path, as_safetensors: bool, discriminator: dict[str, torch.Tensor]
) -> None:
    ours, theirs = reference_state(SMALL, symbols=512, speakers=0)
    # Amphion's single-speaker models have unused speaker conditioning.
    theirs["dec.cond.weight"] = torch.ones(256, 256, 1)
    theirs["flow.flows.0.enc.cond_layer.weight_g"] = torch.ones(8, 1, 1)
    experiment = tmp_path / "experiment"
    for name in ("epoch-0001", "epoch-0002"):
        (experiment / "checkpoint" / name).mkdir(parents=True)
    latest = experiment / "checkpoint" / "epoch-0002"
    if as_safetensors:
        save_file(
            {name: weight.clone() for name, weight in theirs.items()}, latest / "model.safetensors"
        )
        save_file(discriminator, latest / "model_1.safetensors")
    else:
        wrapped = {f"module.{name}": weight for name, weight in theirs.items()}
        torch.save(wrapped, latest / "pytorch_model.bin")
        torch.save(discriminator, latest / "pytorch_model_1.bin")
    (experiment / "symbols.dict").write_text("<eps> 0\naɪ 1\n_ 2\nb 3\n", encoding="utf-8")
    arguments = {
        "model_type": "VITS",
        "preprocess": {
            "sample_rate": 22050, "n_fft": 1024, "win_size": 1024, "hop_size": 256, "n_mel": 80,
            "fmin": 0, "fmax": None, "add_blank": True, "language": "en-us", "note": "a,]",
        },
        "model": {**model_section(SMALL), "n_speakers": 0},
        "train": {"multi_speaker_training": False},
    }  # fmt: skip
    as_json5 = json.dumps(arguments, indent=1).replace("\n }", ",\n }")
    (experiment / "args.json").write_text(as_json5)
    assert amphion.recognises(experiment)
    amphion.import_checkpoint(experiment, tmp_path / "voice")

    voice = read_voice(tmp_path / "voice")
    assert_holds(voice, SMALL, ours)
    assert voice.vocabulary.symbols.ids == {
        "<pad>": 0, "<bos>": 1, "<eos>": 2, "<eps>": 3, "_": 4, "aɪ": 5, "b": 6,
    }  # fmt: skip
    source_weights = read_source(tmp_path / "voice", inference_module="generator")
    assert sum(name.startswith("discriminator.") for name in source_weights.weights) == len(
        discriminator
    )
