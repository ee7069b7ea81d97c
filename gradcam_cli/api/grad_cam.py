"""Grad-CAM for notebooks and programs, the base class of all other explainers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Unpack

import keras
import numpy as np
import tensorflow as tf

from gradcam_cli.api.blank_batches import BlankMaps, find_blanks
from gradcam_cli.api.layer_choice import find_default_layer, find_layer, may_segment
from gradcam_cli.api.model_inputs import Arrangement, ModelInputs
from gradcam_cli.api.operators import Operator, find_operator
from gradcam_cli.cam.fusions import check_fused_layers
from gradcam_cli.cam.map_function import MapFunction
from gradcam_cli.cam.methods.base import (
    InGraphMethod,
    ObservedMaps,
    Progress,
    ignore_progress,
    make_method,
    tapped_pass,
)
from gradcam_cli.cam.methods.table import MethodParameters, check_has_sign, find_method
from gradcam_cli.cam.scaling import scale_by_maximum, smooth
from gradcam_cli.cam.upsampling import upsample
from gradcam_cli.errors import UnknownClassError, UsageError
from gradcam_cli.models.task_detection import trained_task
from gradcam_cli.networks.forward import ForwardPass, trace_forward
from gradcam_cli.networks.keras_network import KerasNetwork, walk_layers
from gradcam_cli.networks.layers import flattens_first
from gradcam_cli.networks.merging import MergedNetwork
from gradcam_cli.networks.streams import Streams
from gradcam_cli.networks.tasks import CLASSIFICATION, REGRESSION

if TYPE_CHECKING:
    from gradcam_cli.cam.black_box_diagnosis import BlackBoxDiagnosis
    from gradcam_cli.cam.blank_maps import BlankMap
    from gradcam_cli.cam.diagnosis import Diagnosis

_ALL = 2**62
# Sequences that are flattened rarely have as many values in each step.
_FEWEST_COLUMNS = 8
_RANK_OF_ONE_HOT = 2
# An array, or those of a model with several inputs in any structure.
Inputs = tf.Tensor | np.ndarray | Sequence[Any] | Mapping[str, Any]


class GradCAM:
    """Grad-CAM (Selvaraju et al., 2017, arXiv 1610.02391) for Keras models.

    Its signature and meaning match Xplique's class of the same name, with one difference:
    without ``output_layer``, it explains the score before softmax, as in the paper. Xplique
    then explains the last layer, but recommends the score.

    Attributes:
        model: The explained model.
        network: The model as a network, with the input that is explained.
        batch_size: The number of inputs per batch; None for all at once.

    Example:
        >>> explainer = GradCAM(model)
        >>> maps = explainer.explain(images, one_hot_targets)  # (N, H, W, 1) float32
    """

    method: str = "gradcam"

    def __init__(
        self,
        model: keras.Model,
        output_layer: str | int | None = None,
        batch_size: int | None = 32,
        operator: str | Operator | None = None,
        conv_layer: str | int | Sequence[str | int] | None = None,
        *,
        explained_input: str | None = None,
        scale: bool = False,
        smoothing: bool = False,
        signed: bool = False,
        progress: Progress | None = None,
        **parameters: Unpack[MethodParameters],
    ) -> None:
        """Looks up the layers. The network is traced at the first explanation.

        Args:
            model: A Keras model that takes (N, H, W, C), (N, H, W), (N, T, C) or (N, D, H, W, C),
                maybe with further inputs. Nested and subclassed models work too. The model isn't
                changed. Its weights may change between two explanations.
            output_layer: The layer whose output is explained, by name or index (-1 is the
                last); None for the score before a final softmax or sigmoid.
            batch_size: The number of inputs per batch; None for all at once.
            operator: Computes one score from an output. "classification" and "regression" sum
                outputs times targets; the second takes a linear output for a value, not for the
                score of two classes. "semantic segmentation" averages outputs times targets
                over the positions where targets aren't zero. A function takes the model,
                inputs and targets, returns (N,), and must call the model exactly once. None
                means "regression" if the model was compiled with a loss of values, such as
                the mean squared error, else "classification".
            conv_layer: The layer whose feature maps are explained, by name, path or index.
                None means the last layer that has filters or, in transformers and networks
                that segment, the default layer of the command line. (In other networks, the
                command line takes the last layer with spatial output, often the activation
                after the last layer that has filters.) `WinsorCAM` alone takes several layers; for
                it None means all convolutions.
            explained_input: Of a model with several inputs, the name of the one that is explained.
                None means the first that takes pictures. The others keep their values.
            scale: Whether to scale each map to a maximum (or, if signed, a magnitude) of 1.
            smoothing: Whether to average the scaled maps of brighter, darker and mirrored
                copies.
            signed: Whether maps keep what speaks against the class, as negative values, instead
                of setting these to 0.
            progress: Called by methods that run the network many times, with the number of
                runs since the last call and the number of runs that the batch takes.
            **parameters: The method's own parameters, if it has any; see
                `gradcam_cli.cam.methods.table.MethodParameters`.

        Raises:
            UnknownLayerError: The model has no such layer.
            UsageError: There is no such operator, the model has several outputs and
                ``output_layer`` isn't given, several layers are given to a method that explains
                one, or the method has no sign.
            TypeError: The method has no such parameter.
        """
        self.model = model
        self.network = KerasNetwork(model, explained=explained_input, classes_only=False)
        self._inputs = ModelInputs(self.network)
        if explained_input is not None:
            _check_input(self.network, explained_input)
        self.batch_size = batch_size
        if output_layer is None and len(getattr(model, "outputs", None) or [None]) > 1:
            raise UsageError(
                f"{model.name} has several outputs; choose the one to explain by its layer: "
                f"output_layer="
            )
        self._wanted_layers = self._check_layers(conv_layer)
        self._output_path = None if output_layer is None else find_layer(model, output_layer)[0]
        self._operator = find_operator(operator)
        self._has_own_operator = callable(operator)
        self._wanted_task = REGRESSION if operator == "regression" else None
        self._scale = scale
        self._smoothing = smoothing
        if signed:
            check_has_sign(self.method, "signed")
        self._signed = signed
        self._progress = progress or ignore_progress
        self._method = make_method(self.method, **parameters)
        self._lock = Lock()
        self._functions: dict[tuple[Any, ...], MapFunction] = {}
        self._diagnoses: dict[tuple[Any, ...], Diagnosis | BlackBoxDiagnosis] = {}
        self._placing: dict[tuple[Any, ...], Any] = {}

    def _check_layers(self, wanted: str | int | Sequence[str | int] | None) -> Sequence[str | int]:
        """Returns the layers that the user named; none for the default."""
        if wanted is None:
            return ()
        is_one = isinstance(wanted, str | int)
        layers = [wanted] if isinstance(wanted, str | int) else list(wanted)
        fuses = find_method(self.method).fuses_layers
        if not fuses and not is_one:
            raise UsageError(
                f"{type(self).__name__} explains one layer; explain_image fuses several, and "
                f"WinsorCAM takes several"
            )
        check_fused_layers(self.method, layers, "layers")
        for layer in layers:
            find_layer(self.model, layer)
        return layers

    @property
    def _fused_paths(self) -> Sequence[str]:
        """The paths of the layers that the method fuses; none if it explains one or chooses."""
        if not find_method(self.method).fuses_layers:
            return ()
        return [find_layer(self.model, layer)[0] for layer in self._wanted_layers]

    @property
    def conv_layer(self) -> keras.Layer:
        """The explained layer, a Keras layer.

        Raises:
            UnusableLayerError: The model has no layer that can be explained.
        """
        return self._layer[1]

    @property
    def _path(self) -> str:
        """The path of the explained layer; "" for a method that needs none of the network's."""
        return "" if find_method(self.method).is_black_box else self._layer[0]

    @cached_property
    def _layer(self) -> tuple[str, keras.Layer]:
        if self._wanted_layers:
            return find_layer(self.model, self._wanted_layers[-1])
        multiplies = find_method(self.method).multiplies_cells
        segments = self._output_path is None and may_segment(self.model)
        return find_default_layer(
            self.model,
            self.network,
            after_normalization=multiplies,
            segments=segments,
        )

    @cached_property
    def _task(self) -> str | None:
        """What the outputs mean; None if nothing but their activation says so."""
        if self._wanted_task is not None or self._output_path is not None:
            return self._wanted_task
        return None if self._has_own_operator else trained_task(self.model)

    @cached_property
    def _merged_network(self) -> KerasNetwork:
        if not isinstance(self.model, keras.Model):
            return self.network
        info = find_method(self.method)
        return MergedNetwork(
            self.model,
            explained=self.network.explained,
            # A method that fuses all layers needs the output of each.
            taps=None if info.fuses_layers else list(filter(None, [self._path])),
            classes_only=False,
            # FullGrad shows the contribution of each bias, so biases must stay apart.
            merges_biases=info.needs_layer,
        )

    def explain(
        self,
        inputs: tf.data.Dataset[Any] | Inputs,
        targets: tf.Tensor | np.ndarray | None = None,
    ) -> tf.Tensor:
        """Explains inputs.

        Args:
            inputs: (N, ..., channels) as the model takes them, of any numeric dtype; for a model
                with several inputs a list or a dictionary of them, as the model takes it; or a
                dataset of inputs and targets, batched or not.
            targets: (N, classes), one-hot for the class to explain in each input, or
                whatever the operator expects. Any other weights of the scores work too: with
                ones for two classes, the sum of their scores is explained; with 1 and -1, why
                the network gives the first class and not the second. For a regression
                (N, outputs): 1 explains what raises an output, -1 what lowers it. For a network
                that segments, one-hot means the sum of the class's scores where it is predicted
                (Seg-Grad-CAM); targets in the shape of the output weigh the positions of your
                choice. Omit them with a dataset, which contains them.

        Returns:
            (N, ..., 1) float32: maps of the explained input, upsampled bicubically to its size,
            in the units of the score; with ``scale`` or ``smoothing``, in [0, 1] or, if
            ``signed``, in [-1, 1].

        Raises:
            UsageError: Inputs and targets don't match.
            UnusableLayerError: The layer's output isn't a feature map.

        Warns:
            UserWarning: Maps show nothing: they are all zeros, NaN or the same everywhere. The
                message gives the reason for the first one.
        """
        # A method that changes its inputs spreads each input's runs over the cores itself.
        batch_size = self.batch_size or _ALL
        is_in_graph = isinstance(self._method, InGraphMethod)
        streams = Streams.of(batch_size) if is_in_graph else Streams(1, batch_size)
        batches = self._batches(inputs, targets, streams)
        explained = list(streams.run(lambda batch: self._explain(*batch), batches))
        blanks = [blank for _, blank, _ in explained if blank is not None]
        maps = tf.concat([maps for maps, _, _ in explained], axis=0)
        if blanks:
            number = sum(blank.number for blank in blanks)
            of_all = "" if len(maps) == 1 else f"{number} of {len(maps)} maps show nothing; "
            warnings.warn(f"{of_all}{self._explain_blank(blanks[0])}", stacklevel=2)
        unsettled = [note for _, _, notes in explained for note in notes]
        if unsettled:
            of_all = f"{len(unsettled)} of {len(maps)} maps aren't final; " * (len(maps) > 1)
            warnings.warn(f"{of_all}{unsettled[0].note}", stacklevel=2)
        return maps

    __call__ = explain

    def compute_heatmap(self, image: Inputs, class_index: int, eps: float = 1e-8) -> np.ndarray:
        """Explains one picture at the size of the feature maps, like AUCMEDI's Grad-CAM.

        Evidence against the class isn't cut off: it gives the map's lowest values.

        Args:
            image: (H, W, C) or (1, H, W, C) as the model takes it; for a model with several
                inputs a list or a dictionary of them, all with or all without the first axis.
            class_index: The class to explain.
            eps: Added to the difference of maximum and minimum before dividing by it.

        Returns:
            (rows, columns) float32 in [0, 1], scaled from the map's minimum to its maximum.

        Raises:
            UnknownClassError: The model has no class of this index.
        """
        explained, others = self._split(image)
        if explained.shape.rank < len(self.network.input_shape) + 1:
            explained = explained[None]
            others = {name: value[None] for name, value in others.items()}
        classes = self._classes(explained, others)
        if not 0 <= class_index < classes:
            raise UnknownClassError(
                f"there is no class {class_index}: the model's classes are 0 to {classes - 1}"
            )
        packed = self._packed(explained, others, tf.one_hot([class_index], classes))
        heatmap = self._maps_of(*packed).maps[0].numpy()
        low, high = heatmap.min(), heatmap.max()
        return np.asarray((heatmap - low) / (high - low + eps), np.float32)

    def raw_maps(self, inputs: Inputs, targets: tf.Tensor | np.ndarray) -> tf.Tensor:
        """Computes maps directly from the method's formula, without scaling or upsampling.

        Args:
            inputs: As for `explain`, but no dataset; processed as one batch.
            targets: As for `explain`.

        Returns:
            (N, ...) float32, for most methods at the size of the feature maps. Negative values
            speak against the class.

        Raises:
            UnusableLayerError: The layer's output isn't a feature map.
        """
        return self._maps_of(*self._packed(*self._inputs.split(inputs), targets)).maps

    def _split(self, inputs: Inputs) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        explained, others = self._inputs.split(inputs)
        converted = {name: tf.cast(value, tf.float32) for name, value in others.items()}
        return tf.cast(explained, tf.float32), converted

    def _maps_of(self, inputs: tf.Tensor, targets: tf.Tensor, rows: Arrangement) -> ObservedMaps:
        """Computes maps like `raw_maps`, of the explained input and packed targets."""
        key = (*inputs.shape[1:], None, rows)
        with self._lock:
            if key not in self._functions:
                self._functions[key] = MapFunction(
                    self._method,
                    partial(self._score, rows),
                    self._path,
                    inputs.shape[1:].as_list(),
                    targets.shape[1:].as_list(),
                    self.batch_size or len(inputs),
                    self._fused_paths,
                )
            function = self._functions[key]
        return function(inputs, targets, self._progress)

    def _explain(
        self, inputs: tf.Tensor, targets: tf.Tensor, rows: Arrangement
    ) -> tuple[tf.Tensor, BlankMaps | None, list[BlankMap]]:
        # Targets of each position lie on the inputs, so they are mirrored with them.
        notes: dict[int, BlankMap] = {}
        are_positions = targets.shape.rank == inputs.shape.rank and inputs.shape.rank > 2

        def maps_of(inputs: tf.Tensor, mirrored: bool = False) -> tf.Tensor:
            is_turned = mirrored and are_positions
            wanted = tf.reverse(targets, [-2]) if is_turned else targets
            observed = self._maps_of(inputs, wanted, rows)
            notes.update(observed.notes)
            maps = observed.maps
            # ReLU may turn NaN into a number.
            kept = maps if self._signed else tf.nn.relu(maps)
            return tf.where(tf.math.is_finite(maps), kept, np.float32(np.nan))

        cells = smooth(maps_of, inputs) if self._smoothing else maps_of(inputs)
        blanks = find_blanks(cells, inputs, targets, rows, notes)
        unsettled = [note for note in notes.values() if not note.is_blank]
        maps = upsample(cells, tf.shape(inputs)[1:-1])
        if self._scale or self._smoothing:
            axes = list(range(1, cells.shape.rank))
            # Interpolation must not give a map signs that it doesn't have.
            has_against = tf.reduce_min(cells, axes, keepdims=True) < 0
            has_for = tf.reduce_max(cells, axes, keepdims=True) > 0
            maps = tf.where(has_against, maps, tf.nn.relu(maps))
            maps = tf.where(has_for, maps, -tf.nn.relu(-maps))
            maps = scale_by_maximum(maps, inputs.shape.rank - 2)
        return tf.expand_dims(maps, -1), blanks, unsettled

    def _explain_blank(self, blank: BlankMaps) -> str:
        from gradcam_cli.cam.black_box_diagnosis import BlackBoxDiagnosis
        from gradcam_cli.cam.diagnosis import Diagnosis

        if blank.known is not None:
            return blank.known.note
        inputs, targets, rows = blank.inputs, blank.targets, blank.rows
        key = (*inputs.shape[1:], None, rows)
        with self._lock:
            if key not in self._diagnoses:
                info = find_method(self.method)
                network, scorer = self._merged_network, partial(self._score, rows)
                shapes = inputs.shape[1:].as_list(), targets.shape[1:].as_list()
                self._diagnoses[key] = (
                    BlackBoxDiagnosis(network, scorer, *shapes)
                    if info.is_black_box
                    else Diagnosis(
                        network,
                        scorer,
                        [self._path],
                        *shapes,
                        maps=partial(self._raw_maps, rows)
                        if isinstance(self._method, InGraphMethod)
                        else None,
                        uses_layer=info.needs_layer,
                        uses_gradients=info.uses_gradients,
                        has_sign=info.has_sign,
                        fuses_layers=info.fuses_layers,
                    )
                )
            diagnosis = self._diagnoses[key]
        if blank.is_constant:
            return diagnosis.explain_constant(inputs, targets).note
        return diagnosis.explain(inputs, targets, was_finite=blank.was_finite).note

    def _raw_maps(
        self,
        rows: Arrangement,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        forward: ForwardPass,
        scores: tf.Tensor,
        path: str,
    ) -> tf.Tensor:
        assert isinstance(self._method, InGraphMethod)
        scorer = partial(self._score, rows)
        tapped = tapped_pass(inputs, targets, forward, scores, path, scorer, self._fused_paths)
        return self._method.maps(tapped)

    def _placed(self, inputs: tf.Tensor, targets: tf.Tensor, *, are_several: bool) -> tf.Tensor:
        """Turns one-hot targets of a network that segments into targets of each position.

        They say where the class is predicted in the inputs themselves. So methods that change
        their inputs always explain the same positions.

        Args:
            inputs: (N, ..., channels) float32.
            targets: As for `explain`, float32.
            are_several: Whether the network has inputs beside these.

        Returns:
            Targets in the layout of the network's output; the given ones in other cases.

        Raises:
            UsageError: The network has several inputs and segments.
        """
        is_whole = self._output_path is None and not self._has_own_operator
        if targets.shape.rank != _RANK_OF_ONE_HOT or not is_whole:
            return targets
        # A model that was never called would have to be called with all of its inputs.
        is_unknown = are_several and not getattr(self.model, "outputs", None)
        if is_unknown or not may_segment(self.model, inputs):
            return targets
        if are_several:
            raise UsageError(
                f"{self.model.name} segments and has several inputs: give targets in the shape of "
                f"its output"
            )
        key = (*inputs.shape[1:], targets.shape[1])
        with self._lock:
            if key not in self._placing:
                signature = [
                    tf.TensorSpec((None, *tensor.shape[1:]), tf.float32)
                    for tensor in (inputs, targets)
                ]
                self._placing[key] = tf.function(
                    self._place, input_signature=signature, autograph=False
                )
            placed: tf.Tensor = self._placing[key](inputs, targets)
        return placed

    def _place(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        dense = self._forward(inputs, {}).dense
        if dense is None:
            return targets
        why = find_method(self.method).not_for_segmentation
        if why:
            raise UsageError(f"{type(self).__name__} can't explain a segmentation: {why}")
        classes = dense.logits.shape[-1]
        if targets.shape[-1] == 1 and dense.units == 1:
            targets = tf.concat([tf.zeros_like(targets), targets], axis=-1)
        if targets.shape[-1] != classes:
            raise UsageError(
                f"{self.model.name} segments {classes} classes, but the targets have "
                f"{targets.shape[-1]}"
            )
        shape = [-1, *[1] * (dense.logits.shape.rank - 2), classes]
        weights = tf.cast(dense.predicted, tf.float32) * tf.reshape(targets, shape)
        # The derivative of a weighted sum is its weights, in the layout of the output.
        found: tf.Tensor = tf.gradients(dense.logits, dense.raw, grad_ys=weights)[0]
        return tf.cast(found, tf.float32)

    def _with_channel(self, inputs: tf.Tensor | np.ndarray) -> tf.Tensor:
        """Adds a channel to grey pictures (N, H, W), which other inputs of this rank aren't."""
        inputs = tf.cast(inputs, tf.float32)
        is_grey = inputs.shape.rank == 3 and self.network.takes_grey and self._has_rows
        return tf.expand_dims(inputs, -1) if is_grey else inputs

    @cached_property
    def _has_rows(self) -> bool:
        """Whether the model takes (N, rows, columns) for pictures, not for steps of a sequence.

        Then a layer slides over rows and columns, or they are flattened at once.
        """
        kinds = [getattr(layer, "kernel_size", ()) for _, layer in walk_layers(self.model)]
        slides = any(isinstance(size, tuple) and len(size) == 2 for size in kinds)
        is_narrow = (self.network.input_shape[-1] or 0) < _FEWEST_COLUMNS
        return slides or (flattens_first(self.network) and not is_narrow)

    def _score(
        self, rows: Arrangement, inputs: tf.Tensor, packed: tf.Tensor
    ) -> tuple[ForwardPass, tf.Tensor]:
        passes: list[ForwardPass] = []
        targets, others = rows.unpack(packed, inputs)

        def run(inputs: tf.Tensor) -> tf.Tensor:
            forward = self._forward(inputs, others)
            if forward.dense is not None:
                forward = replace(forward, logits=tf.cast(forward.dense.raw, tf.float32))
                passes.append(forward)
                return forward.logits
            if forward.task == REGRESSION and forward.logits.shape[-1] != targets.shape[-1]:
                raise UsageError(
                    f"{self.model.name} is a regression with {forward.logits.shape[-1]} outputs, "
                    f"but the targets have {targets.shape[-1]}"
                )
            if forward.logits.shape[-1] == 2 and targets.shape[-1] == 1:
                # `logits` holds a single unit as two classes: its opposite, then it. A linear
                # one counts as a value, as on the command line.
                is_value = forward.activation is None and self._task is None
                forward = replace(
                    forward,
                    logits=forward.logits[:, 1:],
                    task=REGRESSION if is_value else forward.task,
                )
            passes.append(forward)
            return forward.logits

        scores = self._operator(run, inputs, targets)
        has_own = self._has_own_operator or self._output_path is not None
        return replace(passes[-1], has_own_scores=has_own), tf.cast(scores, tf.float32)

    def _forward(self, inputs: tf.Tensor, others: Mapping[str, tf.Tensor]) -> ForwardPass:
        forward = trace_forward(
            self._merged_network, inputs, task=self._task or CLASSIFICATION, others=others
        )
        if self._output_path is None:
            return forward
        output = tf.cast(forward.layer_outputs[self._output_path], tf.float32)
        return replace(forward, logits=output, found_dense=None, traced=None)

    def _classes(self, inputs: tf.Tensor, others: Mapping[str, tf.Tensor]) -> int:
        def count(inputs: tf.Tensor, *values: tf.Tensor) -> tf.Tensor:
            return self._forward(inputs, dict(zip(others, values, strict=True))).logits

        tensors = (inputs, *others.values())
        signature = [tf.TensorSpec(tensor.shape, tf.float32) for tensor in tensors]
        function = tf.function(count, autograph=False).get_concrete_function(*signature)
        return int(function.output_shapes[-1])

    def _batches(
        self,
        inputs: tf.data.Dataset[Any] | Inputs,
        targets: Any,
        streams: Streams,
    ) -> Iterator[tuple[tf.Tensor, tf.Tensor, Arrangement]]:
        if isinstance(inputs, tf.data.Dataset):
            if targets is not None:
                raise UsageError("a dataset contains its targets: omit the targets argument")
            dataset = inputs
            # The element is a tuple (inputs, targets), as `explain` documents.
            spec: Any = dataset.element_spec
            explained, _ = self._inputs.split(spec[0])
            if explained.shape.rank == len(self.network.input_shape) + 1:
                dataset = dataset.unbatch()
        else:
            if targets is None:
                raise UsageError("targets are missing: give one-hot targets (N, classes)")
            if np.ndim(targets) < 2 and not self._has_own_operator:
                raise UsageError(
                    "targets must be one-hot, (N, classes); keras.utils.to_categorical makes "
                    "them from class indices"
                )
            explained, others = self._inputs.split(inputs)
            if any(len(values) != len(explained) for values in others.values()):
                raise UsageError("all inputs must have the same number of rows")
            if len(targets) != len(explained):
                raise UsageError("targets must have one row for each input")
            for some in streams.cut(len(explained)):
                beside = {name: np.asarray(values)[some] for name, values in others.items()}
                yield self._packed(explained[some], beside, targets[some])
            return
        for batch, batch_targets in dataset.batch(streams.batch_size):
            yield self._packed(*self._inputs.split(batch), batch_targets)

    def _packed(
        self, explained: Any, others: Mapping[str, Any], targets: Any
    ) -> tuple[tf.Tensor, tf.Tensor, Arrangement]:
        """Puts targets and the values of other inputs into one row for each explained input."""
        converted = {name: tf.cast(value, tf.float32) for name, value in others.items()}
        inputs = self._with_channel(explained)
        targets = self._placed(inputs, tf.cast(targets, tf.float32), are_several=bool(converted))
        rows = Arrangement.of(targets, converted)
        return inputs, rows.pack(targets, converted), rows


def _check_input(network: KerasNetwork, name: str) -> None:
    names = [one.name for one in network.inputs]
    if name not in names:
        raise UsageError(
            f"explained_input: {network.name} has no input {name!r}, only {', '.join(names)}"
        )
