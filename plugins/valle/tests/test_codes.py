"""The feature extractor of codec codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from allophone.config import Experiment, load_experiment
from allophone.datasets.feature_index import FeatureIndex, StoredUtterance, prepared_utterances
from allophone.errors import ConfigError
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import default_registry
from allophone_testing.corpus import write_corpus
from allophone_valle.codec_config import FakeCodecConfig
from allophone_valle.codecs.fake import FakeCodec


def model_of(bins: int) -> str:
    """TOML of a model that uses a fake codec with `bins` bins."""
    return f"""
[model]
type = "valle"
bins = {bins}

[model.codec]
place = "fake"

[model.codec.fake]
sample_rate = 8000
hop_length = 160
bins = {bins}
"""


VOCODER = """
[vocoder]
type = "codec"
"""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codes") / "recordings"
    write_corpus(folder, utterances=5, sample_rate=8000)
    return folder


def experiment_of(recordings: Path, tables: str, *, hop_length: int = 160) -> Experiment:
    path = recordings.with_name("experiment.toml")
    path.write_text(
        f"""
[data]
directory = "{recordings.with_name("data")}"

[[data.corpora]]
type = "table"
root = "{recordings}"

[audio]
sample_rate = 8000
hop_length = {hop_length}

[features.codes]
{tables}"""
    )
    return load_experiment(path)


def test_codes_are_cached_per_codec(recordings: Path) -> None:
    registry = default_registry()
    experiment = experiment_of(recordings, model_of(64))
    prepare(experiment, registry)
    assert extract(experiment, registry).computed["codes"] == 5
    assert extract(experiment, registry).computed["codes"] == 0

    stored = FeatureIndex(experiment, registry)
    codec = FakeCodec.from_config(FakeCodecConfig(sample_rate=8000, hop_length=160))
    for utterance in prepared_utterances(experiment):
        found = stored.find(utterance)
        assert isinstance(found, StoredUtterance)
        codes = found.features["codes"].read()
        waveform = torch.from_numpy(stored.recordings(utterance)).unsqueeze(0)
        assert codes.dtype == np.int16
        assert codes.shape == (-(-waveform.size(1) // 160), 8)
        expected = codec.encode(waveform, torch.tensor([waveform.size(1)])).codes[0]
        assert np.array_equal(codes, expected.T.numpy())

    other = experiment_of(recordings, model_of(32))
    assert extract(other, registry).computed["codes"] == 5
    assert extract(experiment, registry).computed["codes"] == 0


def test_hop_length_must_match_the_codec(recordings: Path) -> None:
    with pytest.raises(ConfigError, match="hop_length is 80, expected 160"):
        FeatureIndex(experiment_of(recordings, model_of(64), hop_length=80), default_registry())


def test_codes_need_a_model_with_a_codec(recordings: Path) -> None:
    with pytest.raises(ConfigError, match="needs a model with a codec"):
        FeatureIndex(experiment_of(recordings, VOCODER), default_registry())
