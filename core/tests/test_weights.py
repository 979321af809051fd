"""Weight files are whole or absent, and what does not fit is named."""

import pytest
import torch
from torch import nn

from allophone.errors import UserError
from allophone.weights.files import add_prefix, quantize, read_weights, strip_prefix, write_weights
from allophone.weights.loading import bounded_by, compare, load_weights, skip_init


def test_what_was_written_reads_back_equal(tmp_path):
    weights = {
        "half": torch.randn(3, 4).to(torch.bfloat16),
        "transposed": torch.randn(3, 4).T,
        "count": torch.tensor(7),
    }
    write_weights(tmp_path / "w.safetensors", weights)
    read = read_weights(tmp_path / "w.safetensors")
    assert read.keys() == weights.keys()
    for name, tensor in weights.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_tied_and_sliced_weights_are_stored_one_by_one(tmp_path):
    table = torch.randn(4, 3)
    write_weights(tmp_path / "w.safetensors", {"a": table, "b": table, "c": table[1]})
    read = read_weights(tmp_path / "w.safetensors")
    assert torch.equal(read["b"], table)
    assert torch.equal(read["c"], table[1])


def test_int8_is_a_quarter_of_the_size_and_nearly_equal(tmp_path):
    weights = {
        "kernel": torch.randn(64, 32, 5) * torch.logspace(-3, 1, 64).view(-1, 1, 1),
        "silent": torch.zeros(4, 8),
        "bias": torch.randn(64),
        "count": torch.tensor([[7]]),
    }
    write_weights(tmp_path / "w.safetensors", quantize(weights))
    assert (tmp_path / "w.safetensors").stat().st_size < 64 * 32 * 5 + 2000
    read = read_weights(tmp_path / "w.safetensors")
    assert read.keys() == weights.keys()
    for name in ("silent", "bias", "count"):
        assert torch.equal(read[name], weights[name])
    largest = weights["kernel"].flatten(1).abs().amax(1)
    error = (read["kernel"] - weights["kernel"]).flatten(1).abs().amax(1)
    assert (error <= largest / 254 * 1.001).all()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    write_weights(path, {"a": torch.zeros(2)})

    def fails(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("allophone.files.atomic.os.fsync", fails)
    with pytest.raises(OSError, match="no space"):
        write_weights(path, {"a": torch.ones(2)})
    assert torch.equal(read_weights(path)["a"], torch.zeros(2))
    assert list(tmp_path.iterdir()) == [path]


def test_missing_and_damaged_files_are_errors(tmp_path):
    with pytest.raises(UserError, match="no weight file"):
        read_weights(tmp_path / "none.safetensors")
    path = tmp_path / "w.safetensors"
    write_weights(path, {"a": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match="truncated or corrupt"):
        read_weights(path)


def with_header(header: bytes, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        b"garbage that is long enough to be read as a length and more",
        with_header(b"{", 2**60),
        with_header(b"[" * 100_000),
        with_header(b'{"a":' * 50_000),
        with_header(b'{"a": 1}'),
        with_header(b'{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}') + b"\0" * 4,
        with_header(b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}') + b"\0" * 4,
        with_header(b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}') + b"\0" * 4,
    ],
    ids=range(10),
)
def test_a_header_that_is_not_one_is_an_error_in_few_words(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="truncated or corrupt") as raised:
        read_weights(path)
    assert len(str(raised.value)) < len(str(path)) + 400


def test_a_huge_header_is_neither_read_nor_quoted(tmp_path):
    path = tmp_path / "w.safetensors"
    with path.open("wb") as file:
        file.write((90 * 2**20).to_bytes(8, "little"))
        file.truncate(100 * 2**20)
    with pytest.raises(UserError, match="header cannot have 94,371,840 bytes"):
        read_weights(path)


def test_nan_and_other_types_are_refused():
    model = nn.Linear(2, 2)
    good = model.state_dict()
    with pytest.raises(UserError, match="of v are unusable: weight contains NaN"):
        load_weights(model, good | {"weight": torch.full((2, 2), torch.nan)}, where="v")
    with pytest.raises(UserError, match=r"bias has the type torch.int64, the model torch.float32"):
        load_weights(model, good | {"bias": torch.zeros(2, dtype=torch.int64)}, where="v")
    load_weights(model, {name: tensor.half() for name, tensor in good.items()}, where="v")


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Sequential(*(nn.Linear(1, 1) for _ in range(10**9))),
        lambda: nn.Sequential(*(nn.Linear(20_000, 10_000) for _ in range(10**9))),
    ],
    ids=["many", "large"],
)
def test_a_model_that_is_far_larger_than_its_weights_is_not_built(build):
    weights = nn.Linear(2, 2).state_dict()
    with (
        pytest.raises(UserError, match="of v describes a model that is many times as large"),
        skip_init(),
        bounded_by(weights, where="v"),
    ):
        build()
    with bounded_by(weights, where="v"):
        nn.Sequential(*(nn.Linear(2, 2) for _ in range(10)))
    assert nn.Linear(3, 3), "nothing is counted outside"


def test_prefixes_come_and_go():
    weights = {"a": torch.zeros(1)}
    assert strip_prefix(add_prefix(weights, "generator"), "generator") == weights
    assert strip_prefix(add_prefix(weights, "generator2"), "generator") == {}


def test_weights_must_fit_by_name_and_shape():
    module = nn.Linear(3, 2)
    with pytest.raises(UserError) as caught:
        load_weights(
            module, {"weigth": torch.zeros(2, 3), "bias": torch.zeros(5)}, where="old.safetensors"
        )
    message = caught.value.message
    assert "old.safetensors" in message
    assert "missing: weight. Did you mean 'weigth'?" in message
    assert "unexpected: weigth" in message
    assert "bias is [5], the model has [2]" in message
    load_weights(module, {"weight": torch.ones(2, 3), "bias": torch.ones(2)}, where="here")
    assert torch.equal(module.weight, torch.ones(2, 3))


def test_comparison_sorts_names_by_what_is_the_matter():
    comparison = compare(
        {"same": torch.zeros(1), "other": torch.zeros(2), "more": torch.zeros(1)},
        {"same": torch.zeros(1), "other": torch.zeros(3), "less": torch.zeros(1)},
    )
    assert comparison.matching == ("same",)
    assert comparison.mismatched == {"other": ((2,), (3,))}
    assert comparison.missing == ("less",)
    assert comparison.unexpected == ("more",)
    assert not comparison.exact


def test_a_model_that_is_not_initialised_draws_nothing():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with skip_init():
        nn.Sequential(nn.Embedding(5, 4), nn.Conv1d(4, 3, 2), nn.LSTM(3, 3))
    assert torch.equal(torch.get_rng_state(), before)
    assert nn.Linear(1000, 2).weight.std() > 0
    assert not torch.equal(torch.get_rng_state(), before)
