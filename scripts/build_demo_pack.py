"""Rebuilds the models of the demo pack: a masked LM's folder in half precision, and a subset of GloVe.

The same inputs give the same bytes, and what stands in the pack goes when its successor is whole. docs/demo-pack.md
says where the inputs come from.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save

if TYPE_CHECKING:
    from collections.abc import Iterator

PACK = Path(__file__).resolve().parents[1] / "pipelines" / "demo"
FREQUENT_WORDS = 30_000
DECIMALS = 3
GLOVE_NAME = "glove.demo.50d.txt.gz"
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
DROPOUT = 0.1  # of fine-tuning, as in BERT; a model this small is distilled best without
TOKENIZER_SETTINGS = (
    "cls_token", "do_lower_case", "mask_token", "model_max_length", "pad_token", "sep_token", "strip_accents",
    "tokenize_chinese_chars", "tokenizer_class", "unk_token",
)  # fmt: skip


def main() -> None:
    """Rebuilds what the options name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mlm", type=Path, help="model folder to trim (config, safetensors, tokenizer.json)")
    parser.add_argument("--glove", type=Path, help="GloVe text, plain or gzip, most frequent words first")
    parser.add_argument("--pack", type=Path, default=PACK, help="folder of the pack [pipelines/demo]")
    options = parser.parse_args()
    if options.mlm is None and options.glove is None:
        parser.error("expected --mlm or --glove or both, found neither")
    if mistake := _mistake(options.mlm, options.glove, options.pack):
        parser.error(mistake)
    if options.mlm is not None:
        trim_model(options.mlm, options.pack / "mlm")
    if options.glove is not None:
        wanted = demo_words(options.pack)
        subset(options.glove, wanted, options.pack / "glove" / GLOVE_NAME)


def trim_model(source: Path, target: Path) -> None:
    """Writes a model folder again in half precision and with dropout, leaving out what nobody reads.

    Args:
        source: a Hugging Face folder with MODEL_FILES.
        target: folder to write; what is there makes room for it.
    """
    weights = load_file(source / "model.safetensors")
    halves = {name: weight.astype(np.float16) for name, weight in weights.items()}
    config = {name: value for name, value in _read(source / "config.json").items() if value is not None}
    config |= {"dtype": "float16", "hidden_dropout_prob": DROPOUT, "attention_probs_dropout_prob": DROPOUT}
    tokenizer = {**_read(source / "tokenizer.json"), "truncation": None, "padding": None}
    settings = _read(source / "tokenizer_config.json")
    with _put(target) as folder:
        folder.mkdir()
        # save_file would leave a file that only its owner may read.
        (folder / "model.safetensors").write_bytes(save(halves, metadata={"format": "pt"}))
        _write(folder / "config.json", config, indent=1)
        _write(folder / "tokenizer.json", tokenizer, indent=None)
        _write(folder / "tokenizer_config.json", {name: settings.get(name) for name in TOKENIZER_SETTINGS}, indent=1)
    for path in sorted(target.iterdir()):
        _say(f"{path.name}: {path.stat().st_size:,} bytes")


def demo_words(pack: Path) -> set[str]:
    """Words of the demo sentences as they are looked up in GloVe: as they stand, and in lower case.

    Args:
        pack: folder of the pack, with mlm/ and sst2/.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(pack / "mlm" / "tokenizer.json"))
    found: set[str] = set()
    for name in ("train.tsv", "dev.tsv"):
        for line in (pack / "sst2" / name).read_text(encoding="utf-8").splitlines()[1:]:
            text = line.split("\t")[0]
            spans = tokenizer.pre_tokenizer.pre_tokenize_str(text)
            found.update(text[start:end] for _, (start, end) in spans)
    return found | {word.lower() for word in found}


def subset(source: Path, wanted: set[str], target: Path) -> None:
    """Writes the most frequent words of a GloVe file and the wanted ones, numbers to three decimals.

    Args:
        source: GloVe text, plain or gzip, most frequent words first.
        wanted: words to keep wherever they stand.
        target: gzip file to write; what is there makes room for it.
    """
    kept = rare = 0
    # No name and no time in the header: the same words give the same bytes.
    with _put(target) as path, path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        for number, (word, values) in enumerate(_lines(source)):
            if number < FREQUENT_WORDS or word in wanted:
                rare += number >= FREQUENT_WORDS
                kept += 1
                packed.write(f"{word} {' '.join(map(_short, values))}\n".encode())
    size = target.stat().st_size
    _say(f"{target.name}: {kept:,} words, {rare:,} of them rarer ones of the demo text, {size:,} bytes")


def _mistake(mlm: Path | None, glove: Path | None, pack: Path) -> str | None:
    """What stands against reading these sources, before anything is written."""
    needed = [] if mlm is None else [("--mlm", mlm / name) for name in MODEL_FILES]
    if glove is not None:
        made = ["mlm/tokenizer.json"] if mlm is None else []
        needed += [("--glove", glove), *(("--pack", pack / name) for name in (*made, "sst2/train.tsv", "sst2/dev.tsv"))]
    for option, path in needed:
        if not path.is_file():
            return f"{option}: expected a file {path}, found none; check the path"
    targets = (("--mlm", mlm, pack / "mlm"), ("--glove", glove, pack / "glove" / GLOVE_NAME))
    for option, source, target in targets:
        if source is not None and source.resolve().is_relative_to(target.resolve()):
            return f"{option}: expected another source than the pack's own {target}, which it is to replace; name one"
    return None


@contextmanager
def _put(target: Path) -> Iterator[Path]:
    """A path beside `target` to write a file or folder to, which takes its name if all goes well and else vanishes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as room:
        made, old = Path(room, "made"), Path(room, "old")
        yield made
        try:
            if target.exists():
                target.rename(old)
            made.rename(target)
        except BaseException:
            if old.exists() and not target.exists():
                old.rename(target)
            raise


def _lines(source: Path) -> Iterator[tuple[str, list[str]]]:
    opened = gzip.open if source.suffix == ".gz" else open
    with opened(source, "rt", encoding="utf-8", newline="\n") as stream:
        for line in stream:
            word, *values = line.rstrip("\n").split(" ")
            yield word, values


def _short(number: str) -> str:
    """`-0.4180` as `-.418`: the leading zero costs a tenth of the file."""
    text = f"{float(number):.{DECIMALS}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _write(path: Path, content: dict[str, Any], indent: int | None) -> None:
    separators = (",", ":") if indent is None else None
    text = json.dumps(content, indent=indent, separators=separators, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
