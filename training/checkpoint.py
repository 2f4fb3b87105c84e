"""The state of a training run, and its checkpoints."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from muon import Muon
from network import Network, Shape, build_network
from plan import Plan


@dataclass(slots=True, kw_only=True)
class State:
    """Everything that changes during training: the network, its averaged copy, the optimisers, the log."""

    network: Network
    averaged: Network
    optimisers: list[torch.optim.Optimizer]
    epoch: int = 0
    steps: int = 0
    rows: list[dict[str, Any]]


def start_state(plan: Plan, shape: Shape, device: torch.device) -> State:
    """A new network with its optimisers: Muon for the convolutions, AdamW for everything else."""
    network = build_network(shape, plan.seed).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    convolutions = [p for p in network.parameters() if p.ndim == 4]
    others = [p for p in network.parameters() if p.ndim != 4]
    optimisers: list[torch.optim.Optimizer] = [
        Muon(convolutions, lr=plan.muon_rate, momentum=plan.momentum),
        torch.optim.AdamW(others, lr=plan.adam_rate, betas=(0.9, 0.98), weight_decay=1e-3),
    ]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["initial_rate"] = group["lr"]
    averaged = copy.deepcopy(network).eval().requires_grad_(False)
    return State(network=network, averaged=averaged, optimisers=optimisers, rows=[])


def save_state(state: State, plan: Plan, path: Path) -> None:
    """Write a checkpoint; if this is interrupted, the previous one stays intact."""
    content = {
        "shape": asdict(state.network.shape),
        "plan": asdict(plan),
        "network": state.network.state_dict(),
        "averaged": state.averaged.state_dict(),
        "optimisers": [o.state_dict() for o in state.optimisers],
        "epoch": state.epoch,
        "steps": state.steps,
        "rows": state.rows,
    }
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def load_state(state: State, path: Path, device: torch.device) -> None:
    """Load a checkpoint into `state`; the learning rates stay those of the current plan."""
    content = torch.load(path, map_location=device, weights_only=True)
    state.network.load_state_dict(content["network"])
    state.averaged.load_state_dict(content["averaged"])
    for optimiser, saved in zip(state.optimisers, content["optimisers"], strict=True):
        rates = [group["initial_rate"] for group in optimiser.param_groups]
        optimiser.load_state_dict(saved)
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["initial_rate"] = rate
    state.epoch, state.steps, state.rows = content["epoch"], content["steps"], content["rows"]


def load_averaged(path: Path) -> tuple[Network, dict[str, Any]]:
    """The averaged network of a checkpoint, ready to predict, and the checkpoint's content."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    network = Network(Shape(**content["shape"]))
    network.load_state_dict(content["averaged"])
    return network.eval().requires_grad_(False), content
