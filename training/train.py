"""Trains the embedded model: `python training/train.py`.

With the same `--out`, it continues where it stopped.

The learning rate warms up over one epoch, stays constant, and decays linearly to zero over the last
`--decay-epochs`. A checkpoint is written after every epoch; `stable.pt` is the last one before the decay.
To train longer later, copy it to `last.pt` in a new folder and give longer `--stages`.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from augment import whole_view
from checkpoint import State, load_state, save_state, start_state
from data import Images, Split, load_images, open_cache, read_classes, split_images
from data_parallel import DataParallel, SingleProcess
from network import Shape, count_parameters
from plan import Plan, parse_stages
from ship import ship

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = (
    "epoch",
    "side",
    "rate",
    "loss",
    "top1",
    "top5",
    "held_out_loss",
    "images_per_s",
    "minutes",
)
STAGES = "32:9,48:12,64:7"
DECAY_EPOCHS = 19
SMOKE_IMAGES = 400
REPORT_EVERY_S = 20


@torch.no_grad()
def average_weights(state: State, most: float) -> None:
    """Move the averaged copy towards the network; faster in the first steps."""
    keep = min(most, (1 + state.steps) / (10 + state.steps))
    for slow, fast in zip(
        state.averaged.state_dict().values(), state.network.state_dict().values(), strict=True
    ):
        if slow.is_floating_point():
            slow.lerp_(fast, 1 - keep)
        else:
            slow.copy_(fast)


def train_epoch(
    state: State, plan: Plan, trainer: SingleProcess | DataParallel, indices: NDArray[np.int64]
) -> float:
    """One pass over the images; returns the mean loss. Order and views depend only on seed and epoch."""
    side, seed = plan.side(state.epoch), plan.seed * 1_000_003 + state.epoch
    generator = torch.Generator().manual_seed(seed)
    order = torch.from_numpy(indices)[torch.randperm(len(indices), generator=generator)]
    steps = max(1, len(order) // plan.batch)
    total, began = 0.0, time.monotonic()
    told = began
    state.network.train()
    for step in range(steps):
        for optimiser in state.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["initial_rate"] * plan.rate(state.epoch + step / steps)
        total += trainer.step(order[step * plan.batch : (step + 1) * plan.batch], seed * 10_007 + step, side)
        state.steps += 1
        average_weights(state, plan.average)
        if time.monotonic() - told > REPORT_EVERY_S:
            told = time.monotonic()
            speed = (step + 1) * plan.batch / (told - began)
            left = (steps - step - 1) * plan.batch / speed
            place = f"epoch {state.epoch + 1}/{plan.epochs}  {side} px  step {step + 1}/{steps}"
            figures = f"loss {total / (step + 1):.3f}  {speed:.0f} images/s  {left:.0f} s left"
            print(f"{place}  {figures}", flush=True)
    return total / steps


@torch.no_grad()
def measure(
    state: State, images: Images, indices: NDArray[np.int64], side: int, device: torch.device
) -> dict[str, float]:
    """Top-1, top-5 and loss of the averaged copy on whole images of `side` pixels."""
    parts = []
    for start in range(0, len(indices), 250):
        views = whole_view(images.pixels[indices[start : start + 250]], side, device)
        with torch.autocast(device.type, torch.bfloat16):
            parts.append(state.averaged(views).float().cpu())
    logits, labels = torch.cat(parts), torch.from_numpy(images.labels[indices])
    hits = logits.topk(5, dim=1).indices == labels[:, None]
    return {
        "top1": hits[:, 0].float().mean().item(),
        "top5": hits.any(dim=1).float().mean().item(),
        "held_out_loss": functional.cross_entropy(logits, labels).item(),
    }


def write_log(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the log of all epochs so far as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def train(
    plan: Plan, split: Split, cache: Path, out: Path, *, device: str = "cpu", workers: int = 1
) -> State:
    """Train to the end of `plan`, continuing from the checkpoint in `out` if there is one.

    The images are read from `cache`. On the CPU, `workers` processes share the work.
    """
    images, target = open_cache(cache), torch.device(device)
    out.mkdir(parents=True, exist_ok=True)
    state = start_state(plan, Shape(), target)
    if (out / "last.pt").exists():
        load_state(state, out / "last.pt", target)
    trainer: SingleProcess | DataParallel
    if workers > 1 and target.type == "cpu":
        trainer = DataParallel(state, plan, cache, workers)
    else:
        trainer = SingleProcess(state, plan, images, target)
    print(
        f"{count_parameters(state.network):,} parameters, {len(split.train):,} images, "
        f"{len(split.held_out):,} held out, epoch {state.epoch} of {plan.epochs} done",
        flush=True,
    )
    while state.epoch < plan.epochs:
        began = time.monotonic()
        side, rate = plan.side(state.epoch), plan.rate(state.epoch)
        loss = train_epoch(state, plan, trainer, split.train)
        speed = len(split.train) / (time.monotonic() - began)
        judged = measure(state, images, split.held_out, side, target)
        before = state.rows[-1]["minutes"] if state.rows else 0.0
        row = {"epoch": state.epoch + 1, "side": side, "rate": round(rate, 4), "loss": round(loss, 4)}
        row |= {key: round(value, 4) for key, value in judged.items()}
        row |= {"images_per_s": round(speed), "minutes": round(before + (time.monotonic() - began) / 60, 2)}
        state.rows.append(row)
        state.epoch += 1
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        save_state(state, plan, out / "last.pt")
        if state.epoch == plan.epochs - plan.decay_epochs:
            shutil.copyfile(out / "last.pt", out / "stable.pt")
        write_log(state.rows, out / "log.csv")
    trainer.close()
    return state


def run_smoke(data: Path, out: Path) -> None:
    """Run every step once on a few hundred images: decode, train, resume, calibrate, export, evaluate."""
    for name in ("last.pt", "cache/images.npy"):
        (out / name).unlink(missing_ok=True)
    images = load_images(data, out / "cache", SMOKE_IMAGES)
    split = split_images(images.labels, fraction=0.2)
    for stages, decay in (("32:1", 1), ("32:1,48:1", 1)):
        plan = Plan(stages=parse_stages(stages), decay_epochs=decay, batch=64, part=32)
        state = train(plan, split, out / "cache", out, workers=2)
    if state.epoch != 2 or not all(np.isfinite(row["loss"]) for row in state.rows):
        raise RuntimeError(f"the short training went wrong: {state.rows}")
    figures = ship(out / "last.pt", out / "model", images, split, read_classes(data), status="smoke test")
    if figures["top5"] < 0.25:  # chance is 0.025 among 200 classes; these images have four
        raise RuntimeError(f"the short training learned nothing: {figures}")
    print(f"smoke test passed: {out / 'model'}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train, calibrate and export the embedded model.")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "datasets", help="the archives")
    parser.add_argument(
        "--cache", type=Path, default=ROOT / "build" / "training" / "cache", help="decoded images"
    )
    parser.add_argument("--out", type=Path, help="checkpoints, the log, the model")
    parser.add_argument(
        "--stages", type=parse_stages, default=parse_stages(STAGES), help=f"SIDE:EPOCHS,… ({STAGES})"
    )
    parser.add_argument(
        "--decay-epochs", type=int, default=DECAY_EPOCHS, help="epochs of falling learning rate"
    )
    parser.add_argument("--muon-rate", type=float, default=0.025)
    parser.add_argument("--cutmix", type=float, default=0.2, help="share of images with a part of another")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes, one thread each")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--smoke", action="store_true", help="two epochs of a few hundred images, in --out")
    options = parser.parse_args(arguments)
    out = options.out or ROOT / "build" / "training" / ("smoke" if options.smoke else "run")
    torch.set_num_threads(1)
    if options.smoke:
        run_smoke(options.data, out)
        return 0
    plan = Plan(
        stages=options.stages,
        decay_epochs=options.decay_epochs,
        muon_rate=options.muon_rate,
        cutmix=options.cutmix,
    )
    images = load_images(options.data, options.cache)
    split = split_images(images.labels)
    train(plan, split, options.cache, out, device=options.device, workers=options.workers)
    ship(out / "last.pt", out / "model", images, split, read_classes(options.data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
