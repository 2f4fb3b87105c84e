"""Trains the embedded model: `python training/train.py`.

Run again with the same `--out`, it goes on where it stopped.

The learning rate warms up over one epoch, stays, and falls in a straight line to zero over the last
`--decay-epochs`. A checkpoint is written after every epoch; `stable.pt` is the last one before the fall.
To train longer later, copy it to `last.pt` of a new folder and name larger `--stages`: nothing of the
work before the fall is lost.
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
from torch import Tensor
from torch.nn import functional

from augment import Batch, cut_and_paste, random_views, whole_view
from checkpoint import State, load_state, save_state, start_state
from data import Pictures, Split, load_pictures, read_classes, split_pictures
from network import Shape, count_parameters
from plan import Plan, parse_stages
from ship import ship

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = (
    "epoch",
    "side",
    "rate",
    "loss",
    "test_side",
    "top1",
    "top5",
    "held_back_loss",
    "pictures_per_s",
    "minutes",
)
STAGES = "32:10,48:10,64:4"
DECAY_EPOCHS = 9
SMOKE_PICTURES = 400
TELL_EVERY_S = 20


def compute_loss(logits: Tensor, batch: Batch, smoothing: float) -> Tensor:
    """Cross entropy with smoothed labels, shared between the two classes of a mixed picture."""
    own = functional.cross_entropy(logits, batch.labels, label_smoothing=smoothing, reduction="none")
    other = functional.cross_entropy(logits, batch.others, label_smoothing=smoothing, reduction="none")
    return (batch.share * own + (1 - batch.share) * other).mean()


@torch.no_grad()
def average_weights(state: State, most: float) -> None:
    """Moves the averaged copy towards the network; faster in the first steps."""
    keep = min(most, (1 + state.steps) / (10 + state.steps))
    for slow, fast in zip(
        state.averaged.state_dict().values(), state.network.state_dict().values(), strict=True
    ):
        if slow.is_floating_point():
            slow.lerp_(fast, 1 - keep)
        else:
            slow.copy_(fast)


def take_step(state: State, plan: Plan, batch: Batch, moment: float) -> float:
    """One step of both optimisers at `moment` (in epochs); the loss."""
    for optimiser in state.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["initial_rate"] * plan.rate(moment)
    with torch.autocast(batch.pixels.device.type, torch.bfloat16):
        logits = state.network(batch.pixels)
    loss = compute_loss(logits.float(), batch, plan.smoothing)
    loss.backward()  # type: ignore[no-untyped-call]
    for optimiser in state.optimisers:
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    state.steps += 1
    average_weights(state, plan.average)
    return loss.item()


def train_epoch(
    state: State, plan: Plan, pictures: Pictures, indices: NDArray[np.int64], device: torch.device
) -> float:
    """One pass over the pictures; the mean loss. Order and views follow from the seed and the epoch alone."""
    side = plan.side(state.epoch)
    generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + state.epoch)
    order = indices[torch.randperm(len(indices), generator=generator).numpy()]
    steps = max(1, len(order) // plan.batch)
    total, began = 0.0, time.monotonic()
    told = began
    state.network.train()
    for step in range(steps):
        chosen = np.sort(order[step * plan.batch : (step + 1) * plan.batch])
        pixels = torch.from_numpy(pictures.pixels[chosen]).to(device)
        labels = torch.from_numpy(pictures.labels[chosen]).to(device)
        batch = cut_and_paste(random_views(pixels, side, generator), labels, plan.cutmix, generator)
        total += take_step(state, plan, batch, state.epoch + step / steps)
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            speed = (step + 1) * plan.batch / (told - began)
            left = (steps - step - 1) * plan.batch / speed
            place = f"epoch {state.epoch + 1}/{plan.epochs}  {side} px  step {step + 1}/{steps}"
            print(
                f"{place}  loss {total / (step + 1):.3f}  {speed:.0f} pictures/s  {left:.0f} s left",
                flush=True,
            )
    return total / steps


def choose_test_side(side: int) -> int:
    """The side at which a network trained on crops of `side` pixels is judged: crops enlarge."""
    return min(64, side * 5 // 4 // 8 * 8)


@torch.no_grad()
def measure(
    state: State, pictures: Pictures, indices: NDArray[np.int64], side: int, device: torch.device
) -> dict[str, float]:
    """Top-1, top-5 and loss of the averaged copy on whole pictures of `side` pixels."""
    parts = []
    for start in range(0, len(indices), 250):
        views = whole_view(pictures.pixels[indices[start : start + 250]], side, device)
        with torch.autocast(device.type, torch.bfloat16):
            parts.append(state.averaged(views).float().cpu())
    logits, labels = torch.cat(parts), torch.from_numpy(pictures.labels[indices])
    hits = logits.topk(5, dim=1).indices == labels[:, None]
    return {
        "top1": hits[:, 0].float().mean().item(),
        "top5": hits.any(dim=1).float().mean().item(),
        "held_back_loss": functional.cross_entropy(logits, labels).item(),
    }


def write_log(rows: list[dict[str, Any]], path: Path) -> None:
    """The log of all epochs so far, as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def train(plan: Plan, pictures: Pictures, split: Split, out: Path, device: torch.device) -> State:
    """Trains to the end of `plan`, from the checkpoint in `out` where there is one."""
    out.mkdir(parents=True, exist_ok=True)
    state = start_state(plan, Shape(), device)
    if (out / "last.pt").exists():
        load_state(state, out / "last.pt", device)
    print(
        f"{count_parameters(state.network):,} parameters, {len(split.train):,} pictures, "
        f"{len(split.held_back):,} held back, epoch {state.epoch} of {plan.epochs} done",
        flush=True,
    )
    while state.epoch < plan.epochs:
        began = time.monotonic()
        side, rate = plan.side(state.epoch), plan.rate(state.epoch)
        loss = train_epoch(state, plan, pictures, split.train, device)
        speed = len(split.train) / (time.monotonic() - began)
        judged = measure(state, pictures, split.held_back, choose_test_side(side), device)
        before = state.rows[-1]["minutes"] if state.rows else 0.0
        row = {"epoch": state.epoch + 1, "side": side, "rate": round(rate, 4), "loss": round(loss, 4)}
        row |= {
            "test_side": choose_test_side(side),
            **{key: round(value, 4) for key, value in judged.items()},
        }
        row |= {"pictures_per_s": round(speed), "minutes": round(before + (time.monotonic() - began) / 60, 2)}
        state.rows.append(row)
        state.epoch += 1
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        save_state(state, plan, out / "last.pt")
        if state.epoch == plan.epochs - plan.decay_epochs:
            shutil.copyfile(out / "last.pt", out / "stable.pt")
        write_log(state.rows, out / "log.csv")
    return state


def run_smoke(data: Path, out: Path) -> None:
    """Everything once, on a few hundred pictures: decode, train, continue, calibrate, export, evaluate."""
    for name in ("last.pt", "cache/pictures.npy"):
        (out / name).unlink(missing_ok=True)
    pictures = load_pictures(data, out / "cache", SMOKE_PICTURES)
    split = split_pictures(pictures.labels, fraction=0.2)
    for stages, decay in (("32:1", 1), ("32:1,48:1", 1)):
        plan = Plan(stages=parse_stages(stages), decay_epochs=decay, batch=64)
        state = train(plan, pictures, split, out, torch.device("cpu"))
    if state.epoch != 2 or not all(np.isfinite(row["loss"]) for row in state.rows):
        raise RuntimeError(f"the short training went wrong: {state.rows}")
    figures = ship(out / "last.pt", out / "model", pictures, split, read_classes(data), status="smoke test")
    if (
        figures["top5"] < 0.25
    ):  # five guesses among the four classes of these pictures; 0.025 is chance among 200
        raise RuntimeError(f"the short training learnt nothing: {figures}")
    print(f"smoke test passed: {out / 'model'}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train, calibrate and export the embedded model.")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "datasets", help="the archives")
    parser.add_argument(
        "--cache", type=Path, default=ROOT / "build" / "training" / "cache", help="decoded pictures"
    )
    parser.add_argument("--out", type=Path, help="checkpoints, the log, the model")
    parser.add_argument(
        "--stages", type=parse_stages, default=parse_stages(STAGES), help=f"SIDE:EPOCHS,… ({STAGES})"
    )
    parser.add_argument(
        "--decay-epochs", type=int, default=DECAY_EPOCHS, help="epochs of falling learning rate"
    )
    parser.add_argument("--muon-rate", type=float, default=0.025)
    parser.add_argument("--cutmix", type=float, default=0.2, help="share of pictures with a part of another")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--smoke", action="store_true", help="two epochs of a few hundred pictures, in --out")
    options = parser.parse_args(arguments)
    out = options.out or ROOT / "build" / "training" / ("smoke" if options.smoke else "run")
    torch.set_num_threads(options.threads)
    if options.smoke:
        run_smoke(options.data, out)
        return 0
    plan = Plan(
        stages=options.stages,
        decay_epochs=options.decay_epochs,
        muon_rate=options.muon_rate,
        cutmix=options.cutmix,
    )
    pictures = load_pictures(options.data, options.cache)
    split = split_pictures(pictures.labels)
    train(plan, pictures, split, out, torch.device(options.device))
    ship(out / "last.pt", out / "model", pictures, split, read_classes(options.data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
