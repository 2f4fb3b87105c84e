"""Write the table of ImageNet's 1,000 classes that pictag ships: `python training/imagenet_classes.py`.

Each row has a class's WordNet id and its label, in the order of the ids, which is the order of a classifier's
outputs. Some labels start with the same name ("crane" is a bird and a machine). For these, `qualifier` is the
first word for the WordNet parent ("wading bird", "lifting device").
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "src" / "pictag" / "models" / "imagenet1k.tsv"
DATA = ROOT.parent / "shared" / "datasets"


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def first_name(label: str) -> str:
    return label.partition(",")[0].casefold()


def make_table(data: Path) -> str:
    """The text of the table, from the class list and the WordNet hierarchy in the folder `data`."""
    classes = sorted(read_rows(data / "imagenet-1k-classes.tsv"), key=lambda row: row["wnid"])
    synsets = {row["synset"]: row for row in read_rows(data / "imagenet-hypernyms.tsv")}
    counts = Counter(first_name(row["label"]) for row in classes)

    def qualify(row: dict[str, str]) -> str:
        if counts[first_name(row["label"])] == 1:
            return ""
        parent = synsets[row["wnid"]]["parents"].split(",")[0]
        return synsets[parent]["lemmas"].split("|")[0]

    lines = ("\t".join((row["wnid"], row["label"], qualify(row))) for row in classes)
    return "\n".join(("synset\tlabel\tqualifier", *lines, ""))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the table of ImageNet's 1,000 classes.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the class list and hierarchy")
    TABLE.write_text(make_table(parser.parse_args(arguments).data), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
