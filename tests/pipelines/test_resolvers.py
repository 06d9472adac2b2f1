"""Names of the registry become local files, and what is not there is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.common import lineage
from pipelines.common.resolvers import connect, registered_model, resolve
from pipelines.common.sender import Sender
from pipelines.common.spool import Spool
from pipelines.common.writer import prepare
from tests.pipelines.stores import free_port, new_store
from vidmodels.core.errors import ConfigError, VidmodelsError, WeightsError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with mae_st_vit_tiny in two versions (best: 1, candidate: 2) and slowfast_r50 in one."""
    folder = tmp_path_factory.mktemp("registry")
    uri = new_store(folder)
    prepare(folder / "lineage", uri, "experiment", "run")
    models = [("mae_st_vit_tiny", "best"), ("mae_st_vit_tiny", "candidate"), ("slowfast_r50", "best")]
    with pytest.MonkeyPatch.context() as patch, Spool(folder / "lineage") as spool:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        for number, (name, alias) in enumerate(models):
            path = folder / f"{number}.safetensors"
            path.write_bytes(b"weights %d" % number)
            spool.model({"model.safetensors": path}, name, lineage.version_tags("r", "d"), alias, number)
        sender = Sender(folder / "lineage")
        while sender.send_some():
            pass
    return uri


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("mae_st_vit_tiny@best", 0),
        ("mae_st_vit_tiny/1", 0),
        ("mae_st_vit_tiny@candidate", 1),
        ("mae_st_vit_tiny@latest", 1),
        ("mae_st_vit_tiny/latest", 1),
        ("slowfast_r50/1", 2),
    ],
)
def test_alias_and_version_name_a_local_file(store: str, name: str, number: int) -> None:
    assert registered_model(f"models:/{name}", store).read_bytes() == b"weights %d" % number


def test_the_environment_names_the_store(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    found = resolve("models:/mae_st_vit_tiny@candidate")
    assert (found.version, found.tags["dataset_digest"], found.tags["step"]) == ("2", "d", "1")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "models:/mae_st_vit_tyny@best",
            r"no model 'mae_st_vit_tyny' .*did you mean 'mae_st_vit_tiny'\?.*slowfast_r50",
        ),
        ("models:/mae_st_vit_tiny@besst", r"no alias 'besst' \(did you mean 'best'\?\); aliases: best, candidate"),
        ("models:/mae_st_vit_tiny/9", r"no version 9; versions: 2, 1"),
        ("models:/mae_st_vit_tiny", r"write models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("models:/a@b/c", r"names no registered model"),
        ("mae_st_vit_tiny@best", r"names no registered model"),
    ],
)
def test_what_is_not_there_is_named(store: str, uri: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        registered_model(uri, store)
    assert "\n" not in str(caught.value)


def test_a_store_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"http://127\.0\.0\.1:\d+ does not answer \(.*refused\)") as caught:
        registered_model("models:/tiny@best", f"http://127.0.0.1:{free_port()}")
    assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match="there is no model registry at sqlite"):
        registered_model("models:/tiny@best", f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("this is no database at all, and long enough to be seen as none" * 20)
    with pytest.raises(VidmodelsError, match="cannot open the model registry"):
        registered_model("models:/tiny@best", f"sqlite:///{tmp_path}/text.db")


def test_a_file_that_is_not_the_registered_one_is_refused(store: str) -> None:
    path = registered_model("models:/slowfast_r50@best", store)
    content = path.read_bytes()
    try:
        path.write_bytes(b"something else")
        with pytest.raises(WeightsError, match=r"is not the file that was registered as slowfast_r50 version 1"):
            registered_model("models:/slowfast_r50@best", store)
        path.unlink()
        with pytest.raises(WeightsError, match="holds no safetensors file"):
            registered_model("models:/slowfast_r50@best", store)
    finally:
        path.write_bytes(content)


def test_an_open_store_is_used_without_global_state(store: str) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    connect(store)
    assert mlflow.get_tracking_uri() == before
