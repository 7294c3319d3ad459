"""An ordinary training script that knows wandb and nothing of Primus Lens.

A two-layer network learns to tell three interleaved spirals apart, in numpy. Warm-up and cosine
learning rate, an evaluation every 20 steps, a checkpoint every 100. `--crash-at` ends it with an
exception, as jobs do; started again with the same run id it goes on from its checkpoint and logs
the steps after it anew. Near the end a shard of the data has its labels mixed up: the loss jumps
and stays up, which a watch should notice.
"""

import argparse
import itertools
import math
import pathlib
import time

import numpy as np
import wandb

STEPS = 600
WARM_UP = 60
BATCH = 64
CLASSES = 3
MIXED_UP_FROM = 540  # a shard whose labels belong to other rows
OVERFLOW_AT = 150  # a step whose gradient norm overflows, as half precision does now and then
STEP_S = 0.02  # long enough to watch the curves grow


def spirals(rng, count):
    """Points of three interleaved spirals: positions (count, 2) and classes (count,)."""
    label = rng.integers(CLASSES, size=count)
    along = rng.uniform(0.1, 1, count)
    angle = along * 5 + label * 2 * math.pi / CLASSES + rng.normal(0, 0.15, count)
    position = np.stack([along * np.cos(angle), along * np.sin(angle)], axis=1)
    return position, label


class Network:
    """Two hidden layers of 48 rectified units."""

    def __init__(self, rng):
        sizes = (2, 48, 48, CLASSES)
        pairs = itertools.pairwise(sizes)
        self.weights = [rng.normal(0, math.sqrt(2 / n), (n, m)) for n, m in pairs]
        self.biases = [np.zeros(size) for size in sizes[1:]]
        self.speeds = [np.zeros_like(each) for each in self.parameters()]

    def parameters(self):
        """Every array that is learnt."""
        return [*self.weights, *self.biases]

    def forward(self, x):
        """Activations of every layer, the class probabilities last."""
        layers = [x]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            layers.append(np.maximum(layers[-1] @ weight + bias, 0))
        logits = layers[-1] @ self.weights[-1] + self.biases[-1]
        grown = np.exp(logits - logits.max(axis=1, keepdims=True))
        return [*layers, grown / grown.sum(axis=1, keepdims=True)]

    def gradients(self, x, label):
        """Loss and the gradient of every parameter."""
        *layers, likely = self.forward(x)
        loss = -np.log(likely[np.arange(len(label)), label] + 1e-12).mean()
        delta = likely.copy()
        delta[np.arange(len(label)), label] -= 1
        delta /= len(label)
        by_weight, by_bias = [], []
        for weight, layer in zip(reversed(self.weights), reversed(layers), strict=True):
            by_weight.insert(0, layer.T @ delta)
            by_bias.insert(0, delta.sum(axis=0))
            delta = (delta @ weight.T) * (layer > 0)
        return loss, [*by_weight, *by_bias]

    def step(self, gradients, rate):
        """Gradient descent with momentum."""
        for i, (parameter, gradient) in enumerate(zip(self.parameters(), gradients, strict=True)):
            self.speeds[i] = 0.9 * self.speeds[i] - rate * gradient
            parameter[:] = parameter + self.speeds[i]

    def measure(self, x, label):
        """Loss and accuracy."""
        likely = self.forward(x)[-1]
        loss = -np.log(likely[np.arange(len(label)), label] + 1e-12).mean()
        return float(loss), float((likely.argmax(axis=1) == label).mean())


def rate_at(step):
    """Linear warm-up, then half a cosine."""
    if step < WARM_UP:
        return 0.05 * (step + 1) / WARM_UP
    return 0.025 * (1 + math.cos(math.pi * (step - WARM_UP) / (STEPS - WARM_UP)))


def train(run, options):
    """From the last checkpoint to the last step, or to the crash."""
    rng = np.random.default_rng(7)
    held_out = spirals(rng, 600)
    network, first = Network(rng), 0
    if options.checkpoint.exists():
        saved = np.load(options.checkpoint)
        first = int(saved["step"]) + 1
        for i, parameter in enumerate(network.parameters()):
            parameter[:] = saved[f"p{i}"]
    for step in range(first, STEPS):
        began = time.perf_counter()
        position, label = spirals(rng, BATCH)
        if step >= MIXED_UP_FROM:
            label = rng.permutation(label)
        loss, gradients = network.gradients(position, label)
        norm = math.sqrt(sum(float((each**2).sum()) for each in gradients))
        network.step(gradients, rate_at(step))
        row = {
            "train/loss": loss,
            "train/grad_norm": math.nan if step == OVERFLOW_AT else norm,
            "train/learning_rate": rate_at(step),
            "epoch": step * BATCH / 6400,
        }
        if step % 20 == 0:
            row["eval/loss"], row["eval/accuracy"] = network.measure(*held_out)
        time.sleep(max(0, STEP_S - (time.perf_counter() - began)))
        row["perf/steps_per_second"] = 1 / (time.perf_counter() - began)
        run.log(row, step=step)
        if step % 100 == 0:
            arrays = {f"p{i}": each for i, each in enumerate(network.parameters())}
            np.savez(options.checkpoint, step=step, **arrays)
            print(f"  step {step:4d} of {STEPS}  loss {loss:.3f}", flush=True)
        if step == options.crash_at:
            raise RuntimeError(f"simulated hardware fault at step {step}")


def main():
    """Parse, train, finish."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--checkpoint", type=pathlib.Path, required=True)
    parser.add_argument("--crash-at", type=int)
    options = parser.parse_args()
    config = {"framework": "numpy", "max_steps": STEPS, "batch_size": BATCH, "seed": 7}
    run = wandb.init(
        project="spirals",
        name="spirals-mlp",
        id=options.run_id,
        resume="allow",
        config=config,
        tags=["demo"],
    )
    run.define_metric("eval/*", step_metric="epoch")
    train(run, options)
    run.finish()


if __name__ == "__main__":
    main()
