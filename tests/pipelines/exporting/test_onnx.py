"""`tinyaug export --format onnx`: what is written, and that it says what the model says without tinyaug."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForQuestionAnswering

from tests.distill.models import tiny_encoder
from tests.fixtures import tiny_config
from tests.pipelines.evaluating.test_evaluate import write_mnli
from tests.pipelines.exporting.conftest import alone, saved
from tests.pipelines.jobs import done, sentences
from tests.pipelines.training.verbs import metrics

FILES = ["README.md", "config.json", "export.json", "model.onnx", "model_int8.onnx", "tokenizer.json",
         "tokenizer_config.json"]  # fmt: skip
BLOCKS = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)
LOGITS = """
import json, onnxruntime
from transformers import AutoConfig, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(".")
found = {"names": AutoConfig.from_pretrained(".").id2label, "logits": []}
session = onnxruntime.InferenceSession(sys.argv[1])
texts = json.loads(sys.argv[2])
for rows in json.loads(sys.argv[3]):
    inputs = tokenizer(texts[:rows], truncation=True, max_length=32, padding=True, return_tensors="np")
    found["logits"].append(session.run(None, dict(inputs))[0].tolist())
print(json.dumps(found))
"""


def told(folder: Path) -> dict:
    return json.loads((folder / "export.json").read_text())


def dev_rows(teacher: Path) -> dict:
    return pq.read_table(teacher / "data" / "validation.parquet").to_pydict()


def test_what_is_written(exported, parts):
    assert sorted(path.name for path in exported.iterdir()) == FILES
    content = b"".join(path.read_bytes() for path in sorted(exported.iterdir()))
    for trace in (str(parts.teacher), str(exported.parents[1]), str(Path(__file__).parents[3]), "site-packages"):
        assert trace.encode() not in content
    assert not {"is_local", "local_files_only"} & json.loads((exported / "tokenizer_config.json").read_text()).keys()
    found = told(exported)
    assert found["sizes"]["int8"] < found["sizes"]["onnx"]
    assert found["sizes"]["torch"] == (parts.teacher / "model.safetensors").stat().st_size
    said = (exported.parent / "said.txt").read_text()
    assert "at most 0.001 is accepted" in said
    assert all(name in said for name in ("model.safetensors", "model.onnx", "model_int8.onnx", "validation accuracy"))


def test_scores_of_the_forms(exported, parts):
    dev, latency = told(exported)["findings"]["dev"], told(exported)["findings"]["latency"]
    assert dev["torch"] == dev["onnx"] == metrics(parts.teacher)["dev"]
    assert set(dev["int8"]["validation"]) == {"accuracy"}
    assert set(latency["milliseconds"]) == {"torch", "onnx", "int8"}


@pytest.mark.integration
def test_the_same_logits_without_tinyaug(exported, parts):
    texts = dev_rows(parts.teacher)["sentence"] + ["", " ".join(sentences(12))]
    counts = [1, 7, len(texts)]
    found = alone(LOGITS, exported, "model.onnx", json.dumps(texts), json.dumps(counts))
    assert found["names"] == {"0": "negative", "1": "positive"}
    model = AutoModelForSequenceClassification.from_pretrained(parts.teacher).eval()
    tokenizer = AutoTokenizer.from_pretrained(parts.teacher)
    for rows, logits in zip(counts, found["logits"], strict=True):
        inputs = tokenizer(texts[:rows], truncation=True, max_length=32, padding=True, return_tensors="pt")
        with torch.no_grad():
            wanted = model(**inputs).logits.numpy()
        np.testing.assert_allclose(np.array(logits), wanted, atol=1e-4)


@pytest.mark.integration
def test_the_score_of_int8_without_tinyaug(exported, parts):
    rows = dev_rows(parts.teacher)
    [logits] = alone(LOGITS, exported, "model_int8.onnx", json.dumps(rows["sentence"]), "[30]")["logits"]
    accuracy = (np.array(logits).argmax(1) == np.array(rows["label"])).mean()
    scored = told(exported)["findings"]["dev"]["int8"]["validation"]["accuracy"]
    assert accuracy == pytest.approx(scored, abs=1.5 / 30)  # rounded by what else is in the batch


@pytest.mark.integration
def test_programs_of_the_docs(exported, parts, tmp_path):
    text = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text(encoding="utf-8")
    for name, code in BLOCKS.findall(text):
        (tmp_path / name).write_text(code, encoding="utf-8")
    texts = dev_rows(parts.teacher)["sentence"][:5]
    (tmp_path / "in.csv").write_text("\n".join(["id,text", *(f'{row},"{text}"' for row, text in enumerate(texts)), ""]))
    (one, other), long = texts[:2], " ".join(sentences(12))
    code = f"""
import json, runpy, classify, service
from transformers import AutoTokenizer
for columns in (["text"], ["id", "text"]):
    sys.argv = ["batch.py", "in.csv", "-".join(columns), *columns]
    runpy.run_path("batch.py")
client = service.app.test_client()
bad = [[], [1], {{"text": ["alone"]}}, {{"text": ["one", 2]}}, {{"texts": ["old"]}}]
print(json.dumps([
    [client.post("/classify", json={{"text": text}}).get_json() for text in {[one, other, [one, other]]!r}],
    [client.post("/classify", json=one).status_code for one in bad],
    classify.tokenizer.encode_batch([{[one, long]!r}])[0].ids,
    AutoTokenizer.from_pretrained(classify.folder)({one!r}, {long!r}, truncation=True)["input_ids"],
]))"""
    answers, statuses, ids, wanted = alone(code, tmp_path, MODEL=str(exported))
    assert statuses == [400] * 5
    assert ids == wanted
    assert len(ids) == 32  # as it was trained
    lines = (tmp_path / "text").read_text().splitlines()
    assert lines[0] == "id,text,prediction,probability"
    assert [one["label"] for one in answers[:2]] == [line.split(",")[-2] for line in lines[1:3]]
    assert all(0.5 <= one["probability"] <= 1 for one in answers)
    assert (tmp_path / "id-text").read_text() != "\n".join([*lines, ""])


def test_the_same_bytes_again(exported, parts, tmp_path):
    done("export", parts.teacher, "--format", "onnx", "--out", tmp_path / "made" / "again", "--task", "sst2",
         "--data", parts.data)  # fmt: skip
    for name in FILES:
        if name not in ("README.md", "export.json"):  # which have milliseconds
            assert (tmp_path / "made" / "again" / name).read_bytes() == (exported / name).read_bytes(), name


@pytest.mark.integration
def test_agreement_on_two_dev_parts(tmp_path):
    model = saved(tiny_encoder("distilbert", num_labels=3), tmp_path / "model")
    data = write_mnli(tmp_path / "MNLI")
    out = tmp_path / "out"
    ran = done("export", model, "--format", "onnx", "--no-int8", "--out", out, "--task", "mnli", "--data", data)
    assert "100.0% of 6 rows of validation_matched and 100.0% of 7 rows of validation_mismatched" in ran.out


@pytest.mark.integration
def test_scores_of_pairs(tmp_path):
    model = saved(tiny_encoder("distilbert", num_labels=1), tmp_path / "model")
    one, other = list(sentences(12, seed=3)), list(sentences(12, seed=4))
    (tmp_path / "data").mkdir()
    for part in ("train", "dev"):
        lines = [f"{a},{b},{row / 3}" for row, (a, b) in enumerate(zip(one, other, strict=True))]
        (tmp_path / "data" / f"{part}.csv").write_text("\n".join(["a,b,score", *lines, ""]))
    task = ("--task", "custom", "--data", tmp_path / "data", "--label", "score", "--label-type", "score")
    done(
        "export", model, "--format", "onnx", "--no-int8", "--out", tmp_path / "out", *task, "--text", "a", "--text", "b"
    )
    assert not (tmp_path / "out" / "model_int8.onnx").exists()
    found = told(tmp_path / "out")["findings"]
    assert set(found["dev"]["onnx"]["validation"]) == {"spearman", "pearson"}
    assert found["dev"]["onnx"]["validation"] == pytest.approx(found["dev"]["torch"]["validation"], abs=1e-4)
    assert found["compared"]["onnx"]["agreed"] == {}
    made = alone(LOGITS, tmp_path / "out", "model.onnx", json.dumps(one), "[2]")  # no segments, as the model has none
    assert np.shape(made["logits"][0]) == (2, 1)


@pytest.mark.integration
def test_answers_in_texts(tmp_path):
    torch.manual_seed(0)
    config: BertConfig = tiny_config(initializer_range=0.4)
    model = saved(BertForQuestionAnswering(config).eval(), tmp_path / "model")
    ran = done("export", model, "--format", "onnx", "--out", tmp_path / "out", "--max-length", 48)
    assert "a made-up text" in ran.out
    found = alone(
        "import json, onnxruntime; session = onnxruntime.InferenceSession('model.onnx');"
        "print(json.dumps([[one.name for one in side] for side in (session.get_inputs(), session.get_outputs())]))",
        tmp_path / "out",
    )
    assert found == [["input_ids", "attention_mask", "token_type_ids"], ["start_logits", "end_logits"]]
