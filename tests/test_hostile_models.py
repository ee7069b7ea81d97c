"""Files that would do something as they are loaded, and honest ones that look like them."""

import contextlib
import io
import json
import tracemalloc
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf import saved_model_pb2

from gradcam_cli.errors import ModelFileError, UnsafeModelError
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

SIZE = 8
PICTURES = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)


def load(path, **options):
    return load_classifier(ModelOptions(str(path), **options))


def refused(path, match=None, kind=UnsafeModelError):
    with pytest.raises(kind, match=match) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    if kind is UnsafeModelError:
        assert "--unsafe" in message


def network(layers, x=None, last=None):
    inputs = layers.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x(inputs) if x else inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return type_of(layers)(inputs, layers.Dense(2, activation="softmax")(x))


def type_of(layers):
    return keras.Model if layers is keras.layers else tf_keras.Model


def rewritten(path, change):
    """Changes the architecture in a model file."""
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            config = json.loads(file.attrs["model_config"])
            change(config)
            file.attrs["model_config"] = json.dumps(config)
        return path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def saved(path, layers=keras.layers, change=None):
    network(layers).save(path)
    return path if change is None else rewritten(path, change)


def serialized(class_name, module, config=None, registered_name=None):
    return {
        "class_name": class_name,
        "module": module,
        "config": config if config is not None else {"name": "hostile"},
        "registered_name": registered_name,
    }


def function(name, module="builtins"):
    return serialized("function", module, name, "function")


LAYERS = {
    "Lambda": serialized("Lambda", "keras.layers"),
    "TFSMLayer": serialized("TFSMLayer", "keras.layers", {"filepath": "elsewhere"}),
    "TorchModuleWrapper": serialized("TorchModuleWrapper", "keras.layers", {"module": "x"}),
    "JaxLayer": serialized("JaxLayer", "keras.layers"),
    "StringLookup": serialized("StringLookup", "keras.layers", {"vocabulary": "/etc/passwd"}),
    "TextVectorization": serialized("TextVectorization", "keras.layers"),
    "a disguise": serialized("Dense", "keras.layers", {"units": 2}, "keras_hub>Lambda"),
    "another module": serialized("Dense", "spy", {"units": 2}),
    "another disguise": serialized(
        "TFSMLayer", "keras.layers", {"filepath": "x"}, "keras_hub>Nothing"
    ),
    "a nested one": serialized(
        "TimeDistributed",
        "keras.layers",
        {"layer": serialized("Lambda", "keras.layers")},
    ),
    "a call of a function": serialized("Map", "keras.src.ops.core", {"function": function("eval")}),
}
VALUES = {
    "a lambda": serialized("__lambda__", "builtins", {"value": ["4wAAAA==", None, None]}),
    "eval": function("eval"),
    "get_file": function("get_file", "keras.utils"),
    "the end of safety": function("enable_unsafe_deserialization", "keras.config"),
    "os.system": function("system", "os"),
    "a type": {**serialized("__typespec__", "os", []), "spec_name": "system"},
}


@pytest.mark.parametrize("what", LAYERS)
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_layers_that_do_more_than_compute_are_refused(tmp_path, what, name):
    def change(config):
        config["config"]["layers"][1] = {
            **LAYERS[what],
            "name": "hostile",
            "inbound_nodes": config["config"]["layers"][1]["inbound_nodes"],
        }

    refused(saved(tmp_path / name, change=change))


@pytest.mark.parametrize("what", VALUES)
@pytest.mark.parametrize("library", [keras, tf_keras])
def test_functions_that_do_more_than_compute_are_refused(tmp_path, library, what):
    def change(config):
        config["config"]["layers"][1]["config"]["activation"] = VALUES[what]

    refused(saved(tmp_path / "model.keras", library.layers, change))
    refused(saved(tmp_path / "model.h5", library.layers, change))


def test_how_a_model_within_the_model_was_trained_is_looked_at(tmp_path):
    inner = network(keras.layers)
    inner.compile("adam", "categorical_crossentropy", ["accuracy"])
    inputs = keras.Input((SIZE, SIZE, 3))
    outer = keras.Model(inputs, inner(inputs))
    outer.save(tmp_path / "model.keras")
    load(tmp_path / "model.keras")

    def change(config):
        for layer in config["config"]["layers"]:
            if "compile_config" in layer:
                layer["compile_config"]["loss"] = function("get_file", "keras.utils")

    refused(rewritten(tmp_path / "model.keras", change), "get_file")


def test_how_the_model_was_trained_needs_no_code(tmp_path):
    def own_loss(truth, predicted):
        return keras.ops.mean(truth - predicted)

    model = network(keras.layers)
    model.compile("adam", own_loss)
    model.save(tmp_path / "model.keras")
    load(tmp_path / "model.keras")


def call(function, *arguments, kind="TFOpLambda", **options):
    """A layer of Keras 2 that calls a function of TensorFlow with constants."""
    first = arguments[0] if arguments else None
    return {
        "class_name": kind,
        "config": {"name": "hostile", "trainable": False, "dtype": "float32", "function": function},
        "name": "hostile",
        "inbound_nodes": [["_CONSTANT_VALUE", -1, first, dict(options)]],
    }


def with_layer(path, layer):
    def change(config):
        config["config"]["layers"].append(layer)

    return saved(path, tf_keras.layers, change)


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
def test_a_call_that_writes_a_file_is_refused(tmp_path, name):
    spied = tmp_path / "spied"
    layer = call("io.write_file", str(spied), contents="spied")
    if name.endswith(".keras"):
        layer |= {"module": "tf_keras.src.layers.core.tf_op_layer", "registered_name": "TFOpLambda"}
    path = with_layer(tmp_path / name, layer)
    refused(path, r"tf\.io\.write_file")
    assert not spied.exists()
    # It is no harmless file that is refused here.
    with pytest.raises(ModelFileError):
        load(path, unsafe=True)
    assert spied.read_text() == "spied"


def named_after(registered_name, layer, module=None):
    layer = {**layer, "registered_name": registered_name}
    return layer if module is None else {**layer, "module": module}


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
def test_what_is_registered_vouches_for_nothing_else(tmp_path, name):
    pytest.importorskip("keras_hub")
    spied = tmp_path / "spied"
    writing = call("io.write_file", str(spied), contents="spied")
    disguised = named_after("keras_hub>ResNetBackbone", writing, "keras_hub.models")
    refused(with_layer(tmp_path / name, disguised), r"tf\.io\.write_file")
    assert not spied.exists()


def test_what_keras_2_registers_itself_vouches_for_nothing_else(tmp_path):
    lookup = {"class_name": "StringLookup", "config": {"name": "x", "vocabulary": "/etc/passwd"}}
    disguised = named_after("Custom>Adam", lookup)
    inner = tf_keras.Sequential([tf_keras.layers.Input((SIZE, SIZE, 3)), tf_keras.layers.Flatten()])
    inner.save(tmp_path / "model.h5")
    path = rewritten(
        tmp_path / "model.h5", lambda config: config["config"]["layers"].append(disguised)
    )
    refused(path, "StringLookup")


def test_a_whole_model_in_disguise_is_refused(tmp_path):
    pytest.importorskip("keras_hub")

    def change(config):
        config |= serialized("TorchModuleWrapper", "keras_hub.models", {"module": "x"})
        config["registered_name"] = "keras_hub>ResNetImageClassifier"

    refused(saved(tmp_path / "model.h5", change=change), "TorchModuleWrapper")


@pytest.mark.parametrize(
    "symbol",
    [
        *("io.gfile.rmtree", "io.gfile.copy", "io.read_file", "keras.utils.get_file"),
        *("keras.models.load_model", "saved_model.load", "py_function", "print", "fill"),
        *("compat.v1.py_func", "load_op_library", "raw_ops.WriteFile", "math.__builtins__"),
    ],
)
@pytest.mark.parametrize("kind", ["TFOpLambda", "SlicingOpLambda"])
def test_calls_of_other_functions_are_refused(tmp_path, symbol, kind):
    refused(with_layer(tmp_path / "model.h5", call(symbol, "x", kind=kind)), "tf.")


@pytest.mark.parametrize(
    "config",
    [
        {"class_name": "ClassMethod", "config": {"cls_symbol": "io.gfile", "method_name": "x"}},
        {"class_name": "InstanceMethod", "config": {"method_name": "numpy"}},
        {"class_name": "InstanceProperty", "config": {"attr_name": "__class__"}},
        {"class_name": "TensorFlowOpLayer", "config": {"node_def": {"op": "WriteFile"}}},
        {"class_name": "DenseFeatures", "config": {}},
    ],
    ids=lambda config: config["class_name"],
)
def test_other_ways_to_reach_tensorflow_are_refused(tmp_path, config):
    layer = {**config, "name": "hostile", "inbound_nodes": []}
    refused(with_layer(tmp_path / "model.h5", layer))


def test_what_would_fill_the_memory_with_a_constant_is_refused(tmp_path):
    layer = call("tile", [[1.0]], multiples=[100_000, 100_000])
    refused(with_layer(tmp_path / "model.h5", layer), r"tf\.tile")


def test_a_list_of_strings_is_no_tensor(tmp_path):
    layer = call("tile", ["a", "b", "c", "d", "e"], multiples=[100_000_000])
    refused(with_layer(tmp_path / "model.h5", layer), r"tf\.tile")


@pytest.mark.parametrize(
    "layer",
    [
        serialized("Tile", "keras.src.ops.numpy", {"name": "x", "repeats": [10**5] * 2}, "Tile"),
        serialized("RepeatVector", "keras.layers", {"name": "x", "n": 10**10}),
    ],
    ids=lambda layer: layer["class_name"],
)
def test_nothing_is_computed_of_constants_alone(tmp_path, layer):
    constant = serialized("__tensor__", "builtins", {"value": [[1.0]], "dtype": "float32"})
    layer = {**layer, "name": "x", "inbound_nodes": [{"args": [constant], "kwargs": {}}]}
    path = saved(
        tmp_path / "model.keras", change=lambda config: config["config"]["layers"].append(layer)
    )
    refused(path, layer["class_name"])


def test_an_element_of_an_array_is_a_number(tmp_path):
    large = {"class_name": "__numpy__", "config": {"value": 1, "dtype": "(100000,100000)f4"}}
    constant = serialized("Constant", "keras.initializers", {"value": large})

    def change(config):
        config["config"]["layers"][1]["config"]["kernel_initializer"] = constant

    refused(saved(tmp_path / "model.keras", change=change), "__numpy__")


HONEST = {
    "preprocess_input": tf_keras.applications.densenet.preprocess_input,
    "arithmetic": lambda x: 1.0 - x / 127.5,
    "pictures": lambda x: tf.image.resize(tf.image.rgb_to_grayscale(x), (SIZE, SIZE)),
    "slices": lambda x: tf.concat([x[:, ::2, ::2], x[:, 1::2, 1::2]], axis=-1),
    "reductions": lambda x: (x - tf.reduce_mean(x, axis=(1, 2), keepdims=True)) * tf.nn.sigmoid(x),
    "shapes": lambda x: tf.reshape(tf.transpose(x, (0, 2, 1, 3)), (tf.shape(x)[0], SIZE, SIZE, 3)),
    "norm": lambda x: x / tf.norm(x, axis=-1, keepdims=True),
}


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
@pytest.mark.parametrize("what", HONEST)
def test_calls_that_compute_are_admitted(tmp_path, what, name):
    model = network(tf_keras.layers, HONEST[what])
    model.save(tmp_path / name)
    classifier = load(tmp_path / name, preprocess="none")
    kinds = {node.kind for node in classifier.network.nodes}
    assert kinds & {"TFOpLambda", "SlicingOpLambda"}


def test_operations_of_keras_3_are_admitted(tmp_path):
    def change(x):
        x = keras.ops.transpose(x, (0, 2, 1, 3))[:, ::2] / 2
        return keras.ops.relu(keras.ops.image.resize(x, (SIZE, SIZE)) ** 2)

    network(keras.layers, change).save(tmp_path / "model.keras")
    load(tmp_path / "model.keras")


def test_a_file_is_what_its_first_bytes_say(tmp_path):
    harmless = saved(tmp_path / "harmless.keras").read_bytes()
    hostile = with_layer(tmp_path / "hostile.h5", call("io.write_file", "x", contents="x"))
    both = tmp_path / "both.h5"
    both.write_bytes(hostile.read_bytes() + harmless)
    assert zipfile.is_zipfile(both)
    refused(both, "write_file")
    named_otherwise = tmp_path / "both.keras"
    named_otherwise.write_bytes(both.read_bytes())
    refused(named_otherwise, r"is HDF5.*rename it to both\.h5", ModelFileError)
    zipped = tmp_path / "zipped.h5"
    zipped.write_bytes(harmless)
    refused(zipped, r"is a zip archive.*rename it to zipped\.keras", ModelFileError)
    prefixed = tmp_path / "prefixed.keras"
    prefixed.write_bytes(b"#!/bin/sh\n" + harmless)
    assert zipfile.is_zipfile(prefixed)
    refused(prefixed, "not a Keras model", ModelFileError)


def packed(path, name, size):
    """Replaces a member of a .keras file by zeros."""
    with zipfile.ZipFile(saved(path)) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in members.items():
            if each != name:
                archive.writestr(each, content)
        with archive.open(name, "w") as member:
            for _ in range(size // 2**20):
                member.write(bytes(2**20))
    return path


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.weights.h5"])
def test_what_unpacks_to_far_more_is_refused_before_it_is_unpacked(tmp_path, name):
    path = packed(tmp_path / "bomb.keras", name, 200 * 2**20)
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    try:
        refused(path, "refused, its")
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_what_unpacks_to_more_than_the_archive_says_is_refused(tmp_path):
    path = packed(tmp_path / "bomb.keras", "metadata.json", 2**20)
    stored = bytearray(path.read_bytes())
    start = stored.rfind(b"metadata.json") - 46
    assert stored[start : start + 4] == b"PK\x01\x02"
    stored[start + 24 : start + 28] = (2).to_bytes(4, "little")
    path.write_bytes(stored)
    refused(path, "more than it states")


def test_archives_are_packed_as_keras_packs_them(tmp_path):
    with zipfile.ZipFile(saved(tmp_path / "model.keras")) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    for method, extra in (zipfile.ZIP_BZIP2, []), (zipfile.ZIP_STORED, members[:1]):
        with (
            zipfile.ZipFile(tmp_path / "packed.keras", "w", method) as archive,
            pytest.warns(UserWarning, match="Duplicate") if extra else contextlib.nullcontext(),
        ):
            for name, content in members + extra:
                archive.writestr(name, content)
        refused(tmp_path / "packed.keras", "compressed in|several times", ModelFileError)


@pytest.mark.parametrize("depth", [300, 950, 5000])
def test_an_architecture_has_a_bottom(tmp_path, depth):
    path = saved(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        config = file.attrs["model_config"]
        deep = "[" * depth + "]" * depth
        file.attrs["model_config"] = config.replace('"activation": "relu"', f'"activation": {deep}')
    refused(path, "damaged", ModelFileError)


def test_one_long_string_is_not_read_many_times(tmp_path):
    path = saved(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        text = h5py.string_dtype()
        file.create_dataset("long", data="x" * 2**20, dtype=text)
        file["model_weights"].attrs.create("others", ["short"] * 4000, dtype=text)
        del file["long"]
    refused(path, "gigabytes")


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize("library", [keras, tf_keras])
def test_deep_networks_are_admitted(tmp_path, library, name):
    # Keras builds a Sequential model anew for each of its layers.
    x = inputs = library.Input((SIZE, SIZE, 3))
    for _ in range(25):
        x = library.layers.Conv2D(2, 1)(x)
        for activation in ("relu", "tanh", "relu"):
            x = library.layers.Activation(activation)(x)
    x = library.layers.GlobalAveragePooling2D()(x)
    model = library.Model(inputs, library.layers.Dense(2, activation="softmax")(x))
    model.save(tmp_path / name)
    assert len(load(tmp_path / name).layers()) > 100


@pytest.mark.parametrize("name", ["assets/vocabulary.txt", "model.weights.npz", "../elsewhere"])
def test_archives_hold_nothing_else(tmp_path, name):
    path = saved(tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    refused(path, "is no part")


def grow(file, tmp_path):
    file.create_dataset("large", (10**10,), np.float32, chunks=True)


def grow_chunk(file, tmp_path):
    file.create_dataset("large", (1,), np.float32, chunks=(10**8,), maxshape=(None,))


def refer_to_strings(file, tmp_path):
    file.create_dataset("strings", data=[b"a"] * 9, dtype=h5py.string_dtype())


def link_elsewhere(file, tmp_path):
    file["linked"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")


def link_within(file, tmp_path):
    file["linked"] = h5py.SoftLink("/")


def store_elsewhere(file, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(64))
    file.create_dataset("stored", (16,), np.float32, external=[(str(tmp_path / "secret"), 0, 64)])


def view_elsewhere(file, tmp_path):
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "data", (4,))
    file.create_virtual_dataset("seen", layout)


@pytest.mark.parametrize(
    "change",
    [
        *(grow, grow_chunk, refer_to_strings, link_elsewhere, link_within),
        *(store_elsewhere, view_elsewhere),
    ],
)
def test_weights_lie_in_their_file_and_are_no_larger(tmp_path, change):
    path = saved(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        change(file.create_group("deep").create_group("deeper"), tmp_path)
    refused(path, "stored elsewhere|unpack|numbers")

    whole = saved(tmp_path / "model.keras")
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = io.BytesIO(members["model.weights.h5"])
    with h5py.File(content, "a") as file:
        change(file, tmp_path)
    members["model.weights.h5"] = content.getvalue()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, each in members.items():
            archive.writestr(name, each)
    refused(whole, "stored elsewhere|unpack|numbers")

    weights = tmp_path / "mobilenet.weights.h5"
    weights.write_bytes(content.getvalue())
    with pytest.raises(UnsafeModelError, match=r"stored elsewhere|unpack|numbers"):
        load("mobilenet", weights=weights)


class Spy(tf.Module):
    """A network that does something besides."""

    def __init__(self, act=None, table=None):
        super().__init__()
        self.kernel = tf.Variable(tf.ones((3, 3, 3, 2)))
        self.act = act
        self.table = table

    @tf.function(input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32)])
    def __call__(self, x):
        if self.act is not None:
            self.act()
        if self.table is not None:
            x += self.table.lookup(tf.constant("a"))
        x = tf.nn.conv2d(x, self.kernel, 1, "SAME")
        return {"scores": tf.nn.softmax(tf.reduce_mean(x, (1, 2)))}


def exported(folder, **options):
    spy = Spy(**options)
    tf.saved_model.save(spy, folder, signatures={"serving_default": spy.__call__})
    return folder


def in_a_function_of_its_own(act):
    return tf.function(act, experimental_attributes={"api_implements": "own"})


ACTS = {
    "WriteFile": lambda folder: tf.io.write_file(str(folder / "spied"), "spied"),
    "ReadFile": lambda folder: tf.io.read_file(str(folder / "spied")),
    "PrintV2": lambda folder: tf.print("spied", output_stream=f"file://{folder}/spied"),
    "EagerPyFunc": lambda _: tf.py_function(lambda: 1.0, [], tf.float32),
    "SaveV2": lambda folder: tf.raw_ops.SaveV2(
        prefix=str(folder / "spied"), tensor_names=["x"], shape_and_slices=[""], tensors=[1.0]
    ),
    "TextLineDataset": lambda folder: tf.data.TextLineDataset(str(folder / "spied")).reduce(
        0, lambda count, line: count + tf.strings.length(line)
    ),
}


@pytest.mark.parametrize("operation", ACTS)
@pytest.mark.parametrize("depth", [0, 1])
def test_saved_models_that_do_more_than_compute_are_refused(tmp_path, operation, depth):
    def act():
        ACTS[operation](tmp_path)

    spying = in_a_function_of_its_own(act) if depth else act
    refused(exported(tmp_path / "spy", act=spying), operation)
    assert not (tmp_path / "spied").exists()


def test_nothing_is_run_to_fill_the_tables_of_a_saved_model(tmp_path):
    (tmp_path / "table.txt").write_text("a\t1\n")
    initializer = tf.lookup.TextFileInitializer(
        str(tmp_path / "table.txt"),
        *(tf.string, 0),
        *(tf.float32, 1),
        delimiter="\t",
    )
    table = tf.lookup.StaticHashTable(initializer, 0.0)
    refused(exported(tmp_path / "spy", table=table), r"InitializeTableFromTextFile")


def test_the_functions_that_save_a_model_are_called_by_nothing_else(tmp_path):
    folder = exported(tmp_path / "model")
    load(folder)
    path = folder / "saved_model.pb"
    stored = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = stored.meta_graphs[0].graph_def
    (saving,) = (
        function.signature.name
        for function in graph.library.function
        if any(node.op == "SaveV2" for node in function.node_def)
    )
    for function in graph.library.function:
        if any(node.op == "Conv2D" for node in function.node_def):
            node = function.node_def.add(name="spy", op="StatefulPartitionedCall")
            node.attr["f"].func.name = saving
    path.write_bytes(stored.SerializeToString())
    refused(folder, "SaveV2")


def test_a_constant_takes_no_more_memory_than_its_file(tmp_path):
    folder = exported(tmp_path / "model")
    path = folder / "saved_model.pb"
    stored = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    (function, *_) = stored.meta_graphs[0].graph_def.library.function
    node = function.node_def.add(name="bomb", op="Const")
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1.0, shape=(10**5, 10**5)))
    path.write_bytes(stored.SerializeToString())
    refused(folder, "Const")


def edited(folder, change):
    path = folder / "saved_model.pb"
    stored = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(stored.meta_graphs[0])
    path.write_bytes(stored.SerializeToString())
    return folder


@pytest.mark.parametrize(("size", "times"), [(10**10, 1), (15_000_000, 50)])
def test_the_constants_of_objects_take_no_more_memory_than_the_file(tmp_path, size, times):
    def change(meta_graph):
        node = meta_graph.graph_def.node.add(name="bomb", op="NoOp")
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1.0, shape=(size,)))
        for _ in range(times):
            meta_graph.object_graph_def.nodes.add().constant.operation = "bomb"

    refused(edited(exported(tmp_path / "model"), change), "constants")


def test_structures_take_no_more_memory_than_the_file(tmp_path):
    def change(meta_graph):
        (function, *_) = meta_graph.object_graph_def.concrete_functions.values()
        bomb = function.output_signature.dict_value.fields["bomb"].numpy_value
        bomb.CopyFrom(tf.make_tensor_proto(1.0, shape=(10**10,)))

    refused(edited(exported(tmp_path / "model"), change), "constants")


def test_functions_that_stand_in_for_others_are_looked_at(tmp_path):
    def saving_in(meta_graph):
        (saving,) = (
            function
            for function in meta_graph.graph_def.library.function
            if any(node.op == "SaveV2" for node in function.node_def)
        )
        return saving

    def as_gradient(meta_graph):
        gradient = meta_graph.graph_def.library.registered_gradients.add()
        gradient.gradient_func = saving_in(meta_graph).signature.name
        gradient.registered_op_type = "CustomGradient-1"

    def as_implementation(meta_graph):
        saving_in(meta_graph).attr["api_implements"].s = b"own"

    def as_operation(meta_graph):
        saving = saving_in(meta_graph)
        other = meta_graph.graph_def.library.function.add()
        other.signature.name = "WriteFile"
        saving.node_def.add(name="write", op="WriteFile")

    for number, change in enumerate((as_gradient, as_implementation, as_operation)):
        refused(edited(exported(tmp_path / str(number)), change), "SaveV2|WriteFile")


def test_no_function_is_run_to_make_a_resource(tmp_path):
    def change(meta_graph):
        meta_graph.object_graph_def.nodes.add().resource.device = ""

    refused(edited(exported(tmp_path / "model"), change), "resource")


def test_a_saved_model_has_one_graph_and_is_of_tensorflow_2(tmp_path):
    folder = exported(tmp_path / "model")
    (folder / "saved_model.cpb").write_bytes(b"")
    refused(folder, "two graphs")
    (folder / "saved_model.cpb").unlink()
    path = folder / "saved_model.pb"
    stored = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    stored.meta_graphs[0].ClearField("object_graph_def")
    path.write_bytes(stored.SerializeToString())
    refused(folder, "TensorFlow 1")
    path.write_bytes(b"garbage")
    refused(folder, "damaged", ModelFileError)


def test_looking_into_a_hostile_file_gets_one_line(invoke, tmp_path):
    path = with_layer(
        tmp_path / "hostile.h5", call("io.write_file", str(tmp_path / "spied"), contents="x")
    )
    done = invoke("info", "--model", path)
    assert done.exit_code == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "tf.io.write_file" in done.stderr
    assert not (tmp_path / "spied").exists()
