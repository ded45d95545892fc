"""Keras' own `fit`, with many training steps per call of the backend.

Same callbacks, histories and results; what differs is how often Python and the backend hand over to
each other, and that rows are shuffled anew before every epoch: under TensorFlow, once a seed is
set, Keras' own `fit` draws the same order again and again.
"""

import inspect
import math
from typing import Any

import keras
import numpy as np

from keras_sda import backend
from keras_sda.datasets.batches import RowBatches
from keras_sda.datasets.given import is_streamed
from keras_sda.datasets.outside_memory import is_outside_memory
from keras_sda.training.finite import GuardedLoss, put_back_unless_finite, with_stop
from keras_sda.training.hooks import (
    accepts_epoch_groups,
    backup_among,
    listed,
    may_test_at_once,
    wants_every_batch,
)
from keras_sda.training.plan import (
    TABLES,
    EvaluationPlan,
    FitPlan,
    Progress,
    even_epochs,
    even_steps,
    feed_by_batches,
    feed_validation_by_batches,
    first_rows,
    is_table,
    one_by_one,
    to_device,
)
from keras_sda.training.work import KeptForLoss, Work

_FIT = inspect.signature(keras.Model.fit)
# What only Keras' own way has.
_KERAS_ONLY = ("class_weight", "validation_split", "steps_per_epoch")


class FastFit(GuardedLoss):
    """A Keras model whose `fit` on arrays takes many steps per call of the backend.

    It does so under TensorFlow, on one device or several (TPUs apart), and under JAX on one device,
    for NumPy arrays, unless an argument of `fit` asks for what only Keras' own way has
    (`class_weight`, `validation_split`, `steps_per_epoch`). An array in a file (`np.memmap`) is
    read piece by piece, under JAX always by Keras' own way, and never copied whole.

    A callback that wants to hear of every batch gets one per call. Keras' `steps_per_execution`
    sets the number of steps; left at 1, calls are few and the progress display still moves.

    Attributes:
        steps_per_call: How many steps a call has taken in the latest `fit`; `None`: Keras' own way.
        compiled_by_xla: Whether XLA compiled the loop over the steps of a call in the latest `fit`:
            under JAX always, under TensorFlow on processors for batches of at most 64 rows (of a
            `LadderNetwork` 512), if there are steps enough to make up for it. Noise is the same,
            and results agree to rounding.
        rows_an_epoch: How many rows the latest `fit` was given; `None`: not known, as of datasets.
        can_resume_mid_epoch: Whether the latest `fit` can be resumed from within an epoch.
    """

    steps_per_execution: int
    # How `fit` takes its rows.
    plan_kind: type[FitPlan] = FitPlan
    # What `compile` was given; Keras keeps what "auto" resolved to.
    _given_jit_compile: bool | str = "auto"

    def __init__(self, *args, **kwargs):
        self._work = Work()
        self.kept = KeptForLoss()
        super().__init__(*args, **kwargs)
        self.steps_per_call: int | None = None
        self.rows_an_epoch: int | None = None
        self.compiled_by_xla = False
        self.can_resume_mid_epoch = False

    def keep_for_loss(self, **tensors: Any) -> None:
        """Keeps tensors of `call` for `compute_loss`, as `self.kept`; see `KeptForLoss`."""
        vars(self.kept).update(tensors)

    def compile(self, *args, **kwargs):
        """Sets optimizer, loss and metrics by Keras' own `compile`, whose arguments it takes."""
        self.forget_functions()
        super().compile(*args, **kwargs)

    def forget_functions(self) -> None:
        """Forgets what was traced or compiled, after a change in what the model computes."""
        # Setting `train_function` to None, as Keras does, does nothing under TensorFlow, whose
        # attributes are left alone if they are None already: that of no `fit` is.
        self._work.functions.clear()
        self.predict_function = None

    def compile_from_config(self, config):
        """Compiles a loaded model as the saved one was."""
        # Keras leaves this to classes with a `compile` of their own, even one with its arguments.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    @backend.in_own_scope
    def fit(self, *args, **kwargs):
        """Trains by Keras' own `fit`, whose arguments it takes."""
        arguments = dict(_FIT.bind(self, *args, **kwargs).arguments)
        del arguments["self"]
        callbacks = listed(arguments.get("callbacks"))
        backup = backup_among(callbacks)
        with put_back_unless_finite(self):
            if backup is None:
                return self._fit(arguments)
            arguments["callbacks"] = callbacks
            with backup.around_fit(self, arguments):
                return self._fit(arguments, backup)

    def _fit(self, arguments, backup=None):
        arguments["callbacks"] = with_stop(arguments.get("callbacks"))
        tables = [arguments.get(name) for name in TABLES]
        batch_size = arguments.get("batch_size") or 32
        self.steps_per_call = self._choose_steps(arguments, tables, batch_size, backup)
        self.compiled_by_xla = False
        self._work.by_batches = is_streamed(tables[0])
        self.rows_an_epoch = len(tables[0]) if is_table(tables[0]) else None
        # Of several devices each has a part of the metrics of an epoch.
        self.can_resume_mid_epoch = not backend.is_distributed(self) and (
            self.steps_per_call is not None
            or (self.rows_an_epoch is not None and backend.RESTORES_SHUFFLING)
        )
        self._work.progress, self._work.may_replay = Progress(), backup is not None
        feed_validation_by_batches(arguments, batch_size)
        with (
            backend.seeded_generators(self, self.steps_per_call is not None),
            self._work.showing(first_rows(tables)),
        ):
            if self.steps_per_call is not None:
                return self._fit_by_plan(arguments, tables, self.steps_per_call, batch_size)
            self.feed_keras(arguments, tables, batch_size)
            return super().fit(**arguments)

    def feed_keras(self, arguments: dict[str, Any], tables: list[Any], batch_size: int) -> None:
        """Changes the arguments of Keras' own `fit` where it should get rows in another way."""
        if is_outside_memory(tables[0]):
            feed_by_batches(arguments, tables, batch_size)

    def _fit_by_plan(self, arguments, tables, steps_per_call, batch_size):
        """Fits with many steps per call; what Keras iterates over holds no rows."""
        plan = self.plan_kind.of(
            self,
            tables,
            steps_per_call,
            batch_size=batch_size,
            epochs=arguments.get("epochs") or 1,
            shuffle=bool(arguments.get("shuffle", True)),
            epochs_per_call=self._choose_epochs(arguments, tables, batch_size),
        )
        self._work.progress.epochs_left = plan.epochs - (arguments.get("initial_epoch") or 0)
        ours = (*TABLES, "batch_size", "shuffle")
        theirs = {name: value for name, value in arguments.items() if name not in ours}
        asked = self.steps_per_execution
        self.steps_per_execution = plan.steps_per_call
        self._work.plan = plan
        try:
            return super().fit(
                backend.endless_dataset(self),
                steps_per_epoch=plan.steps_per_epoch,
                shuffle=False,
                **theirs,
            )
        finally:
            self.steps_per_execution = asked
            self._work.plan = None
            self._work.held_out = {}
            self._work.progress.group = {}

    def _choose_steps(self, arguments, tables, batch_size, backup):
        """Returns how many steps to take per call, or `None` for Keras' own way."""
        x, y, sample_weight = tables
        given = [table for table in tables if table is not None]
        if (
            x is None
            or (y is None and sample_weight is not None)
            or not all(is_table(table) and len(table) == len(x) for table in given)
            or any(arguments.get(name) for name in _KERAS_ONLY)
            or arguments.get("shuffle") == "batch"
            or not backend.can_group_steps(self, any(map(is_outside_memory, given)))
        ):
            return None
        if backup is not None and backup.steps_per_call is not None:
            return backup.steps_per_call
        if any(map(wants_every_batch, listed(arguments.get("callbacks")))):
            return 1
        steps = math.ceil(len(x) / batch_size)
        if self.steps_per_execution > 1:
            return min(steps, self.steps_per_execution)
        if backup is not None and backup.every is not None:
            steps = min(steps, backup.every)
        return even_steps(steps, batch_size)

    def _choose_epochs(self, arguments, tables, batch_size):
        """Returns how many epochs to take per call: several if nobody looks on between them."""
        rows, epochs = len(tables[0]), arguments.get("epochs") or 1
        if (
            self.run_eagerly
            or backend.is_distributed(self)
            or any(map(is_outside_memory, tables))
            or self.steps_per_call != math.ceil(rows / batch_size)
            or arguments.get("validation_data") is not None
            or arguments.get("verbose", "auto") != 0
            or keras.config.max_epochs() is not None
            or keras.config.max_steps_per_epoch() is not None
            or not all(map(accepts_epoch_groups, listed(arguments.get("callbacks"))))
        ):
            return 1
        return even_epochs(epochs, rows, batch_size)

    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """Returns loss and metrics by Keras' own `evaluate`, whose arguments it takes."""
        tables, by_batches = [x, y, kwargs.get("sample_weight")], is_streamed(x)
        given = [table for table in tables if table is not None]
        if (
            backend.can_group_steps(self)
            and all(isinstance(table, np.ndarray) and is_table(table) for table in given)
            and not any(map(is_outside_memory, given))
            and (y is not None or tables[2] is None)
            and not kwargs.get("steps")
        ):
            if backend.is_distributed(self):
                return self._evaluate_on_replicas(x, y, batch_size or 32, *args, **kwargs)
            if not args and not self.run_eagerly and may_test_at_once(kwargs):
                return self._evaluate_at_once(tables, batch_size or 32, kwargs)
        if is_outside_memory(x):
            x = RowBatches(x, y, kwargs.pop("sample_weight", None), batch_size=batch_size or 32)
            y = batch_size = None
        with self._work.reading(by_batches):
            return super().evaluate(x, y, batch_size, *args, **kwargs)

    def _evaluate_at_once(self, tables, batch_size, options):
        """Evaluates in one call, as Keras' own way takes longer than computing on few rows."""
        self._assert_compile_called("evaluate")
        plan = self._evaluation_plan(tables, batch_size)
        with self._work.showing(first_rows(tables)):
            function = self._work.functions.get(("test", plan.kind))
            if function is None:
                self.build_metrics()
                function = backend.make_evaluation(self, plan.data)
                self._work.functions["test", plan.kind] = function
        callbacks = options.get("callbacks")
        if callbacks:
            callbacks.on_test_begin()
        logs = function(plan.data, np.int32(batch_size))
        logs = {name: keras.ops.convert_to_numpy(value).tolist() for name, value in logs.items()}
        if callbacks:
            callbacks.on_test_end(logs)
        return logs if options.get("return_dict") else self._flatten_metrics_in_order(logs)

    def _evaluation_plan(self, tables, batch_size):
        """Returns a plan of `evaluate`, inside `fit` the one of the epoch before."""
        key = (*map(id, tables), batch_size)
        if self._work.held_out.get("key") != key:
            data = to_device(keras.utils.pack_x_y_sample_weight(*tables))
            plan = EvaluationPlan(data, batch_size)
            if self._work.plan is None:
                return plan
            self._work.held_out = {"key": key, "plan": plan, "tables": tables}
        return self._work.held_out["plan"]

    def _evaluate_on_replicas(self, x, y, batch_size, *args, sample_weight=None, **kwargs):
        """Evaluates on several devices in one call, which Keras' distributed iterators slow down.

        Callbacks hear of one batch, which is all of them.
        """
        kwargs |= {"steps": 1, "_use_cached_eval_dataset": False}
        tables = [x, y, sample_weight]
        data = to_device(keras.utils.pack_x_y_sample_weight(*tables), on_host=True)
        self._work.evaluation = EvaluationPlan(data, batch_size)
        try:
            with self._work.showing(first_rows(tables)):
                return super().evaluate(backend.endless_dataset(self), None, None, *args, **kwargs)
        finally:
            self._work.evaluation = None

    # Keras keeps one function for training and one for testing; here there is one for each number
    # of steps per call, and so on.
    @property
    def train_function(self):
        return self._work.functions.get(self._key("train", self._work.plan))

    @train_function.setter
    def train_function(self, function):
        self._keep("train", self._work.plan, function)

    @property
    def test_function(self):
        return self._work.functions.get(self._key("test", self._work.evaluation))

    @test_function.setter
    def test_function(self, function):
        self._keep("test", self._work.evaluation, function)

    def _key(self, name, plan):
        kind = None if plan is None else plan.kind
        by_batches = kind is None and self._work.by_batches
        return name, kind, by_batches, getattr(self, "steps_per_execution", 1)

    def _keep(self, name, plan, function):
        if function is not None:
            self._work.functions[self._key(name, plan)] = function

    def make_train_function(self, force=False):
        """Makes the function that Keras' `fit` calls for each group of steps."""
        plan = self._work.plan
        if plan is None:
            super().make_train_function(force)
            if self._work.may_replay and self.can_resume_mid_epoch:
                self.train_function = backend.replaying(self, self.train_function)
            return self.train_function
        self.compiled_by_xla = plan.compiled_by_xla
        if self.train_function is None or force:
            if self.optimizer is not None and not self.optimizer.built:
                # Inside the traced function it would take a second tracing.
                self.optimizer.build(self.trainable_variables)
            if not self.run_eagerly:
                self.build_metrics()  # a graph that is shared makes no variables
            several = plan.epochs_per_call > 1
            make = backend.make_multi_epoch if several else backend.make_multi_step
            advance = self._next_epochs if several else self._next_steps
            train = make(self, plan.data, by_xla=plan.compiled_by_xla)
            self.train_function = self._fed(train, advance)
        return self.train_function

    def reset_metrics(self):
        """Sets the metrics back, unless the epochs that a call takes do so by themselves."""
        plan = self._work.plan
        if plan is None or plan.epochs_per_call == 1:
            super().reset_metrics()

    def _get_metrics_result_or_logs(self, logs):
        # The metrics are those of a later epoch already.
        plan = self._work.plan
        if plan is None or plan.epochs_per_call == 1:
            return super()._get_metrics_result_or_logs(logs)
        return logs

    def _fed(self, train, advance):
        """Returns a function for Keras to call, which feeds `train` by the plan of each `fit`."""

        # Under JAX, Keras hands the model's state over and takes the new one.
        def function(*state_and_iterator):
            *state, _ = state_and_iterator
            logs, *state = advance(train, state)
            return (logs, *state) if state else logs

        return function

    def _next_steps(self, train, state):
        """Takes the steps of a call; returns the logs and the new state."""
        progress = self._work.progress
        if progress.replayed_logs is not None:
            # The rows of a step that is only replayed are left to `resume_rows`.
            return dict(progress.replayed_logs), *state
        logs, progress.finite_steps, *state = train(*state, *self._next_rows())
        return logs, *state

    def _next_epochs(self, train, state):
        """Returns the logs of one epoch after the other, several of which are trained at once."""
        plan: Any = self._work.plan
        progress = self._work.progress
        if not progress.untold_epochs:
            orders = plan.orders(min(plan.epochs_per_call, progress.epochs_left))
            progress.epochs_left -= len(orders)
            logs, finite, *state = train(*state, plan.data, orders, np.int32(plan.rows_per_step))
            progress.untold_epochs = one_by_one(logs, finite)
        logs, progress.finite_steps = progress.untold_epochs.pop(0)
        return logs, *state

    def _next_rows(self):
        """Returns data for the next call, the numbers of its rows in them, and the batch size."""
        plan: Any = self._work.plan
        progress = self._work.progress
        if len(progress.remaining_rows) == 0:  # an epoch begins
            progress.remaining_rows = plan.order()
        return *plan.take(progress), np.int32(plan.rows_per_step)

    # What `callbacks.Backup` asks in order to resume from within an epoch. Keras counts the steps
    # of an epoch from its beginning; those that were taken before pass without training.
    @property
    def replayed_logs(self) -> dict[str, float] | None:
        """Logs of the step to resume from; `None` once it is reached."""
        return self._work.progress.replayed_logs

    @replayed_logs.setter
    def replayed_logs(self, logs):
        self._work.progress.replayed_logs = logs

    def remaining_rows(self) -> np.ndarray | None:
        """Returns the numbers of the rows that this epoch has still to train on, if it is known."""
        return None if self._work.plan is None else self._work.progress.remaining_rows

    def resume_rows(self, rows: np.ndarray | None) -> None:
        """Trains in what is left of the epoch on these rows, as `remaining_rows` has given them."""
        if rows is not None:
            self._work.progress.remaining_rows = rows

    def build_metrics(self) -> None:
        """Makes the variables of the metrics, which under TensorFlow come with the first step."""
        metrics = self._compile_metrics
        if metrics is not None and not metrics.built and self._work.example is not None:
            self._symbolic_build()

    def make_test_function(self, force=False):
        """Makes the function that Keras' `evaluate` calls for each group of steps."""
        work = self._work
        if work.evaluation is None:
            return super().make_test_function(force)
        if self.test_function is None or force:
            test = backend.make_multi_step(self, work.evaluation.data, training=False)

            def function(_):
                plan: Any = work.evaluation
                return test(plan.data, plan.rows, np.int32(plan.batch_size))[0]

            self.test_function = function
        return self.test_function

    def _symbolic_build(self, iterator=None, data_batch=None):
        # What Keras iterates over here may hold no rows, or draw an order for each batch asked for.
        super()._symbolic_build(
            iterator, self.example_batch() if data_batch is None else data_batch
        )

    def example_batch(self):
        """Returns the first of the rows that are trained or tested on, if they come from arrays."""
        return self._work.example

    def first_bad_step(self, last_step: int) -> int:
        """Returns the number, from 1, of the first step of an epoch whose loss was not finite.

        Args:
            last_step: That of the latest call's last step, from 0, as callbacks get it.
        """
        if self.steps_per_call is None:
            return last_step + 1
        return last_step + 1 - self.steps_per_call + int(self._work.progress.finite_steps) + 1
