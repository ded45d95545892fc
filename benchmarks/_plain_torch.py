"""LeNet-5 as one would write it in PyTorch, for comparison; nothing here imports Keras."""

import math
import time

import torch
from torch import nn

_EVALUATED = 1000


def lenet5(channels, height, width, num_classes):
    """Returns the tutorials' LeNet-5."""
    height, width = ((side - 4) // 2 for side in (height, width))
    height, width = ((side - 4) // 2 for side in (height, width))
    return nn.Sequential(
        nn.Conv2d(channels, 20, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(50 * height * width, 500),
        nn.Tanh(),
        nn.Linear(500, num_classes),
    )


def train(started, how, seed, limit, data, threads):
    """Trains LeNet-5 by stochastic gradient descent with momentum, its rate along a schedule.

    Args:
        started: When the clock started.
        how: The experiment's settings of training, as plain values.
        seed: Seed of initial weights and shuffling.
        limit: Seconds after which it stops, at the end of an epoch, or `None`.
        data: Images `(rows, height, width, channels)` and labels that train, validate and test.
        threads: Cores to use.

    Returns:
        What a way of `end_to_end.py` returns.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    (x, y), valid, test = (_tensors(*part) for part in data)
    model = lenet5(*x.shape[1:], num_classes=int(y.max()) + 1)
    momentum = how["optimizer_options"].get("momentum", 0.0)
    optimizer = torch.optim.SGD(model.parameters(), how["learning_rate"], momentum)
    size, epochs = how["batch_size"], []
    steps = how["epochs"] * math.ceil(len(x) / size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    ready = time.time() - started
    for _ in range(how["epochs"]):
        model.train()
        for rows in torch.randperm(len(x)).split(size):
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        error = _error(model, *valid)
        epochs.append([time.time() - started, error])
        if limit is not None and epochs[-1][0] > limit:
            break
    return {
        "epochs": epochs,
        "ready": ready,
        "pretrained": ready,
        "finished": time.time() - started,
        "test_error": _error(model, *test),
    }


def _tensors(x, y):
    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
    return images, torch.from_numpy(y).long()


def _error(model, x, y):
    """Returns the share of rows that a model gets wrong."""
    model.eval()
    with torch.no_grad():
        wrong = sum(
            int((model(images).argmax(1) != labels).sum())
            for images, labels in zip(x.split(_EVALUATED), y.split(_EVALUATED), strict=True)
        )
    return wrong / len(x)
