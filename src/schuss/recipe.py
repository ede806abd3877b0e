"""How to train: the optimizer with its settings, the batch, how long, and when to stop. Frozen.

>>> Recipe("adam(lr=0.01)", epochs=5)
Recipe(adam(lr=0.01), batch_size=32, epochs=5)
"""

from __future__ import annotations

from dataclasses import dataclass

from schuss.errors import InvalidInput, positive_integer, positive_number
from schuss.losses import Loss, find_loss
from schuss.optimizers import Optimizer, find_optimizer
from schuss.schedules import Schedule, constant, find_schedule


@dataclass(frozen=True, init=False, repr=False)
class Recipe:
    """Everything about a training but the network, the data and the seed.

    Parameters
    ----------
    optimizer : by name ("adam(lr=0.01)") or itself. `gd` always takes the full batch.
    loss : None chooses by the task: squared error for regression, binary or softmax cross-entropy for classes.
    batch_size : rows of one update; None is the full batch.
    epochs : passes over the training part.
    schedule : the factor on the learning rate.
    patience : stop after so many epochs without a lower validation loss, and keep the best weights; None never stops.
    clip_norm : the largest global norm of a gradient; larger ones are scaled down to it (Pascanu et al., 2013).
    horizon : epochs over which the schedule is planned; None is `epochs`. A training that may go on later states it
        from the start: cut at any epoch and resumed, it gives the same bits as in one go.
    """

    optimizer: Optimizer
    loss: Loss | None
    batch_size: int | None
    epochs: int
    schedule: Schedule
    patience: int | None
    clip_norm: float | None
    horizon: int | None

    def __init__(
        self,
        optimizer: str | Optimizer = "adam",
        loss: str | Loss | None = None,
        batch_size: int | None = 32,
        epochs: int = 20,
        schedule: str | Schedule = constant,
        patience: int | None = None,
        clip_norm: float | None = None,
        horizon: int | None = None,
    ) -> None:
        chosen = find_optimizer(optimizer)
        full = chosen.full_batch or batch_size is None
        values = {
            "optimizer": chosen,
            "loss": None if loss is None else find_loss(loss),
            "batch_size": None if full else positive_integer("batch_size", batch_size),
            "epochs": positive_integer("epochs", epochs),
            "schedule": find_schedule(schedule),
            "horizon": None if horizon is None else positive_integer("horizon", horizon),
            "patience": None if patience is None else positive_integer("patience", patience),
            "clip_norm": None if clip_norm is None else positive_number("clip_norm", clip_norm),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if self.planned_epochs < self.epochs:
            raise InvalidInput(
                f"the schedule is planned over a horizon of {horizon} epochs, but {epochs} are asked for; give a "
                "horizon of at least as many."
            )

    @property
    def planned_epochs(self) -> int:
        """The epochs over which the schedule is planned."""
        return self.horizon or self.epochs

    def __repr__(self) -> str:
        parts = [str(self.optimizer), f"batch_size={self.batch_size or 'all'}", f"epochs={self.epochs}"]
        for name in ("loss", "patience", "clip_norm", "horizon"):
            if (value := getattr(self, name)) is not None:
                parts.append(f"{name}={value}")
        if self.schedule != constant:
            parts.append(f"schedule={self.schedule}")
        return f"Recipe({', '.join(parts)})"
