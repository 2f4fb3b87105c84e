"""Data-parallel training on the CPU: several single-threaded processes share every step.

Threads inside each operation synchronise about a thousand times per step; when other programs use the cores,
waiting costs up to 90 % of the speed. Here, a step is a queue of tasks that free processes take: first the
parts of the batch, then the weights that Muon orthogonalises. The processes synchronise only twice per step.
Each part of a batch has its own random seed, so the result doesn't depend on which process takes it.
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

PARENT_CHECK_S = 20


@dataclass(slots=True, kw_only=True)
class SharedState:
    """The state in shared memory, read and written by all processes."""

    network: Network
    gradients: Tensor  # one row per process
    losses: Tensor  # one number per process
    chosen: Tensor  # the images of the step
    task: Tensor  # side, seed of the step, number of parts
    rate: Tensor  # Muon's learning rate
    velocities: list[Tensor]
    lengths: list[float]
    next_part: Any
    next_weight: Any


def share(tensor: Tensor) -> Tensor:
    """Move `tensor` to shared memory, in place."""
    tensor.share_memory_()  # type: ignore[no-untyped-call]
    return tensor


def take_next(counter: Any) -> int:
    """The next number of a shared counter."""
    with counter.get_lock():
        value: int = counter.value
        counter.value += 1
    return value


class Worker:
    """One process: it shares all weights, and has its own normalisation statistics."""

    def __init__(self, place: int, shared: SharedState, plan: Plan, images: Images) -> None:
        self.place, self.shared, self.plan, self.images = place, shared, plan, images
        self.network = shared.network if place == 0 else copy.deepcopy(shared.network)
        for own, weight in zip(self.network.parameters(), shared.network.parameters(), strict=True):
            own.data = weight.data
        self.network.train()

    def compute_gradients(self) -> None:
        """Take parts of the batch until none are left, and store the sum of their gradients."""
        side, seed, parts = self.shared.task.tolist()
        size = self.plan.part
        total = 0.0
        while (part := take_next(self.shared.next_part)) < parts:
            chosen = self.shared.chosen[part * size : (part + 1) * size].sort().values.numpy()
            generator = torch.Generator().manual_seed(seed * 1_009 + part)
            pixels = torch.from_numpy(self.images.pixels[chosen])
            labels = torch.from_numpy(self.images.labels[chosen])
            batch = cut_and_paste(random_views(pixels, side, generator), labels, self.plan.cutmix, generator)
            with torch.autocast("cpu", torch.bfloat16):
                logits = self.network(batch.pixels)
            loss = compute_loss(logits.float(), batch, self.plan.smoothing) / parts
            loss.backward()
            total += loss.item()
        row, start = self.shared.gradients[self.place], 0
        for weight in self.network.parameters():
            stretch = row[start : start + weight.numel()]
            if weight.grad is None:
                stretch.zero_()
            else:
                stretch.copy_(weight.grad.reshape(-1))
            weight.grad = None
            start += weight.numel()
        self.shared.losses[self.place] = total

    def update_weights(self) -> None:
        """Take convolutions until none are left, and update each with the sum of all gradients."""
        spans, start = [], 0
        for weight in self.shared.network.parameters():
            if weight.ndim == 4:
                spans.append((weight, start))
            start += weight.numel()
        while (index := take_next(self.shared.next_weight)) < len(spans):
            place = len(spans) - 1 - index  # the largest are last, and are taken first
            weight, start = spans[place]
            gradient = self.shared.gradients[:, start : start + weight.numel()].sum(dim=0).view(weight.shape)
            turn(
                weight.data,
                gradient,
                velocity=self.shared.velocities[place],
                length=self.shared.lengths[place],
                lr=float(self.shared.rate),
                momentum=self.plan.momentum,
            )


def run_worker(place: int, shared: SharedState, plan: Plan, cache: Path, signals: tuple[Any, Any]) -> None:
    """The loop of a child process. It exits when its parent is gone."""
    torch.set_num_threads(1)
    go, done = signals
    worker, parent = Worker(place, shared, plan, open_cache(cache)), os.getppid()
    while True:
        for work in (worker.compute_gradients, worker.update_weights):
            while not go.acquire(timeout=PARENT_CHECK_S):
                if os.getppid() != parent:
                    sys.exit(0)
            work()
            done.release()


class SingleProcess:
    """Training in one process, on any device."""

    def __init__(self, state: State, plan: Plan, images: Images, device: torch.device) -> None:
        self.state, self.plan, self.images, self.device = state, plan, images, device

    def step(self, chosen: Tensor, seed: int, side: int) -> float:
        """One step on the images `chosen`, with the optimisers' learning rates; returns the loss."""
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
        """Does nothing: there are no child processes."""


class DataParallel:
    """Training in several processes: this one and its children."""

    def __init__(self, state: State, plan: Plan, cache: Path, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        muon = state.optimisers[0]
        assert isinstance(muon, Muon)
        state.network.share_memory()
        weights = [p for p in state.network.parameters() if p.ndim == 4]
        count = sum(p.numel() for p in state.network.parameters())
        self.state, self.plan = state, plan
        self.shared = SharedState(
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
        self.children = [
            context.Process(
                target=run_worker, args=(place, self.shared, plan, cache, (go, self.done)), daemon=True
            )
            for place, go in enumerate(self.go, start=1)
        ]
        for child in self.children:
            child.start()
        self.worker = Worker(0, self.shared, plan, open_cache(cache))

    def start_tasks(self, counter: Any) -> None:
        """Let all children take the tasks that `counter` numbers."""
        counter.value = 0
        for go in self.go:
            go.release()

    def wait(self) -> None:
        """Wait until all children have finished."""
        for _ in self.go:
            self.done.acquire()

    def step(self, chosen: Tensor, seed: int, side: int) -> float:
        """One step on the images `chosen`, with the optimisers' learning rates; returns the loss."""
        parts = max(1, len(chosen) // self.plan.part)
        self.shared.chosen[: len(chosen)] = chosen
        self.shared.task.copy_(torch.tensor([side, seed, parts]))
        self.shared.rate.fill_(self.state.optimisers[0].param_groups[0]["lr"])
        self.start_tasks(self.shared.next_part)
        self.worker.compute_gradients()
        self.wait()
        self.start_tasks(self.shared.next_weight)
        start = 0
        for weight in self.state.network.parameters():
            if weight.ndim != 4:
                summed = self.shared.gradients[:, start : start + weight.numel()].sum(dim=0)
                weight.grad = summed.view(weight.shape)
            start += weight.numel()
        self.state.optimisers[1].step()
        self.state.optimisers[1].zero_grad(set_to_none=True)
        self.worker.update_weights()
        self.wait()
        return float(self.shared.losses.sum())

    def close(self) -> None:
        """End the child processes."""
        for child in self.children:
            child.terminate()
            child.join()
