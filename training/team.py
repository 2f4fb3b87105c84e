"""Several processes of one thread each share the work of every training step.

On a processor, threads inside every operation wait for each other a thousand times a step; where other
programs want the cores too, that wait costs up to nine tenths of the speed. Here a step is cut into parts
that whoever is free takes next: first parts of the batch, then the weights that Muon turns. The processes
meet twice a step only. Each part draws its views from a seed of its own, so who takes it changes nothing.
"""

from __future__ import annotations

import copy
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, multiprocessing

from augment import cut_and_paste, random_views
from checkpoint import State
from data import Images, open_cache
from loss import compute_loss
from muon import Muon, turn
from network import Network
from plan import Plan

PATIENCE_S = 20


@dataclass(slots=True, kw_only=True)
class Table:
    """What lies in shared memory, for all to read and write."""

    network: Network
    gradients: Tensor  # one row a process
    losses: Tensor  # one number a process
    chosen: Tensor  # the images of the step
    task: Tensor  # side, seed of the step, number of parts
    rate: Tensor  # Muon's learning rate
    velocities: list[Tensor]
    lengths: list[float]
    next_part: Any
    next_weight: Any


def share(tensor: Tensor) -> Tensor:
    """Moves `tensor` to shared memory, in place."""
    tensor.share_memory_()  # type: ignore[no-untyped-call]
    return tensor


def take(counter: Any) -> int:
    """The next number of a shared counter."""
    with counter.get_lock():
        value: int = counter.value
        counter.value += 1
    return value


class Member:
    """One process: its own copy of the normalisations, all weights shared."""

    def __init__(self, place: int, table: Table, plan: Plan, images: Images) -> None:
        self.place, self.table, self.plan, self.images = place, table, plan, images
        self.network = table.network if place == 0 else copy.deepcopy(table.network)
        for mine, shared in zip(self.network.parameters(), table.network.parameters(), strict=True):
            mine.data = shared.data
        self.network.train()

    def learn(self) -> None:
        """Takes parts of the batch while there are any; leaves the sum of their gradients on the table."""
        side, seed, parts = self.table.task.tolist()
        size = self.plan.part
        total = 0.0
        while (part := take(self.table.next_part)) < parts:
            chosen = self.table.chosen[part * size : (part + 1) * size].sort().values.numpy()
            generator = torch.Generator().manual_seed(seed * 1_009 + part)
            pixels = torch.from_numpy(self.images.pixels[chosen])
            labels = torch.from_numpy(self.images.labels[chosen])
            batch = cut_and_paste(random_views(pixels, side, generator), labels, self.plan.cutmix, generator)
            with torch.autocast("cpu", torch.bfloat16):
                logits = self.network(batch.pixels)
            loss = compute_loss(logits.float(), batch, self.plan.smoothing) / parts
            loss.backward()
            total += loss.item()
        row, start = self.table.gradients[self.place], 0
        for weight in self.network.parameters():
            stretch = row[start : start + weight.numel()]
            if weight.grad is None:
                stretch.zero_()
            else:
                stretch.copy_(weight.grad.reshape(-1))
            weight.grad = None
            start += weight.numel()
        self.table.losses[self.place] = total

    def turn_weights(self) -> None:
        """Takes convolutions while there are any, and turns each by the sum of all gradients."""
        spans, start = [], 0
        for weight in self.table.network.parameters():
            if weight.ndim == 4:
                spans.append((weight, start))
            start += weight.numel()
        while (index := take(self.table.next_weight)) < len(spans):
            place = len(spans) - 1 - index  # the largest are last, and are taken first
            weight, start = spans[place]
            gradient = self.table.gradients[:, start : start + weight.numel()].sum(dim=0).view(weight.shape)
            turn(
                weight.data,
                gradient,
                velocity=self.table.velocities[place],
                length=self.table.lengths[place],
                lr=float(self.table.rate),
                momentum=self.plan.momentum,
            )


def run_member(place: int, table: Table, plan: Plan, cache: Path, signals: tuple[Any, Any]) -> None:
    """The life of a process beside the first: learn, turn, learn, turn, until the first is gone."""
    torch.set_num_threads(1)
    go, done = signals
    member, parent = Member(place, table, plan, open_cache(cache)), os.getppid()
    while True:
        for work in (member.learn, member.turn_weights):
            while not go.acquire(timeout=PATIENCE_S):
                if os.getppid() != parent:
                    sys.exit(0)
            work()
            done.release()


class Alone:
    """One process that does all of a step itself, on any device."""

    def __init__(self, state: State, plan: Plan, images: Images, device: torch.device) -> None:
        self.state, self.plan, self.images, self.device = state, plan, images, device

    def step(self, chosen: Tensor, seed: int, side: int) -> float:
        """One step on the images `chosen`, with the learning rates that the optimisers have; the loss."""
        generator = torch.Generator().manual_seed(seed)
        order = chosen.sort().values.numpy()
        pixels = torch.from_numpy(self.images.pixels[order]).to(self.device)
        labels = torch.from_numpy(self.images.labels[order]).to(self.device)
        batch = cut_and_paste(random_views(pixels, side, generator), labels, self.plan.cutmix, generator)
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = self.state.network(batch.pixels)
        loss = compute_loss(logits.float(), batch, self.plan.smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in self.state.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return loss.item()

    def close(self) -> None:
        """Nothing to end."""


class Team:
    """The first process and its companions; `step` does one step of training."""

    def __init__(self, state: State, plan: Plan, cache: Path, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        muon = state.optimisers[0]
        assert isinstance(muon, Muon)
        state.network.share_memory()
        weights = [p for p in state.network.parameters() if p.ndim == 4]
        count = sum(p.numel() for p in state.network.parameters())
        self.state, self.plan = state, plan
        self.table = Table(
            network=state.network,
            gradients=share(torch.zeros(size, count)),
            losses=share(torch.zeros(size)),
            chosen=share(torch.zeros(plan.batch, dtype=torch.int64)),
            task=share(torch.zeros(3, dtype=torch.int64)),
            rate=share(torch.zeros(1)),
            velocities=[share(muon.state[w]["velocity"]) for w in weights],
            lengths=[muon.state[w]["length"] for w in weights],
            next_part=context.Value("i", 0),
            next_weight=context.Value("i", 0),
        )
        self.go = [context.Semaphore(0) for _ in range(size - 1)]
        self.done = context.Semaphore(0)
        self.companions = [
            context.Process(
                target=run_member, args=(place, self.table, plan, cache, (go, self.done)), daemon=True
            )
            for place, go in enumerate(self.go, start=1)
        ]
        for companion in self.companions:
            companion.start()
        self.member = Member(0, self.table, plan, open_cache(cache))

    def begin(self, counter: Any) -> None:
        """Sends all companions to the work that `counter` deals out."""
        counter.value = 0
        for go in self.go:
            go.release()

    def end(self) -> None:
        """Waits until all companions are done with it."""
        for _ in self.go:
            self.done.acquire()

    def step(self, chosen: Tensor, seed: int, side: int) -> float:
        """One step on the images `chosen`, with the learning rates that the optimisers have; the loss."""
        parts = max(1, len(chosen) // self.plan.part)
        self.table.chosen[: len(chosen)] = chosen
        self.table.task.copy_(torch.tensor([side, seed, parts]))
        self.table.rate.fill_(self.state.optimisers[0].param_groups[0]["lr"])
        self.begin(self.table.next_part)
        self.member.learn()
        self.end()
        self.begin(self.table.next_weight)
        start = 0
        for weight in self.state.network.parameters():
            if weight.ndim != 4:
                summed = self.table.gradients[:, start : start + weight.numel()].sum(dim=0)
                weight.grad = summed.view(weight.shape)
            start += weight.numel()
        self.state.optimisers[1].step()
        self.state.optimisers[1].zero_grad(set_to_none=True)
        self.member.turn_weights()
        self.end()
        return float(self.table.losses.sum())

    def close(self) -> None:
        """Ends the companions."""
        for companion in self.companions:
            companion.terminate()
            companion.join()
