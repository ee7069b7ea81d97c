"""The format is written here byte by byte, so that no PyTorch is needed to test its reader."""

import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gradcam_cli.errors import CheckpointError
from gradcam_cli.models.checkpoint import read_checkpoint


def pickled(body):
    return b"\x80\x02" + body + b"."


def number(value):
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def string(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def in_tuple(*items):
    return b"(" + b"".join(items) + b"t"


def call(function, *arguments):
    return function + in_tuple(*arguments) + b"R"


def ordered_dict(**items):
    body = b"".join(string(key) + value for key, value in items.items())
    return name("collections", "OrderedDict") + b")R(" + body + b"u"


def storage(key, size, kind="FloatStorage"):
    return (
        in_tuple(
            string("storage"), name("torch", kind), string(key), string("cpu"), number(size), b"N"
        )
        + b"Q"
    )


def tensor(source, shape, strides, offset=0):
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        source,
        number(offset),
        in_tuple(*map(number, shape)),
        in_tuple(*map(number, strides)),
        b"\x89",
        ordered_dict(),
    )


def raw(values):
    return struct.pack("<q", values.size) + values.tobytes()


MAGIC, VERSION = number(0x1950A86A20F9469CFC6C), number(1001)


def checkpoint(state, keys=(), data=b"", magic=MAGIC, version=VERSION, little_endian=b"\x88"):
    system = b"}(" + string("little_endian") + little_endian + b"u"
    key_list = b"](" + b"".join(map(string, keys)) + b"e"
    return b"".join(map(pickled, (magic, version, system, state, key_list))) + data


@pytest.fixture
def write(tmp_path):
    def write_bytes(content):
        path = tmp_path / "weights.pth"
        path.write_bytes(content)
        return path

    return write_bytes


@pytest.fixture
def good(write):
    values = np.arange(6, dtype="<f4")
    return checkpoint(ordered_dict(w=tensor(storage("0", 6), (2, 3), (3, 1))), ["0"], raw(values))


def test_reads_tensors_in_order_with_shape_and_dtype(write):
    kernel = np.linspace(-1, 1, 24, dtype="<f4")
    counts = np.array([7], "<i8")
    halves = np.array([0.5, -2], "<f2")
    content = checkpoint(
        ordered_dict(
            kernel=tensor(storage("k", 24), (2, 3, 2, 2), (12, 4, 2, 1)),
            count=tensor(storage("c", 1, "LongStorage"), (), ()),
            half=tensor(storage("h", 2, "HalfStorage"), (2,), (1,)),
        ),
        ["c", "h", "k"],
        raw(counts) + raw(halves) + raw(kernel),
    )
    tensors = read_checkpoint(write(content))
    assert list(tensors) == ["kernel", "count", "half"]
    np.testing.assert_array_equal(tensors["kernel"], kernel.reshape(2, 3, 2, 2))
    assert tensors["kernel"].dtype == np.float32
    assert tensors["count"].shape == ()
    assert tensors["count"] == 7
    np.testing.assert_array_equal(tensors["half"], [0.5, -2])
    assert tensors["half"].dtype == np.float16


def test_reads_views_that_share_a_storage(write):
    values = np.arange(12, dtype="<f4")
    shared = storage("0", 12)
    content = checkpoint(
        ordered_dict(
            whole=tensor(shared, (3, 4), (4, 1)),
            transposed=tensor(shared, (4, 3), (1, 4)),
            tail=tensor(shared, (2, 2), (4, 1), offset=6),
            every_other=tensor(shared, (6,), (2,), offset=1),
            expanded=tensor(shared, (2, 3), (0, 1), offset=9),
            empty=tensor(shared, (0, 4), (4, 1)),
        ),
        ["0"],
        raw(values),
    )
    tensors = read_checkpoint(write(content))
    np.testing.assert_array_equal(tensors["whole"], values.reshape(3, 4))
    np.testing.assert_array_equal(tensors["transposed"], values.reshape(3, 4).T)
    np.testing.assert_array_equal(tensors["tail"], [[6, 7], [10, 11]])
    np.testing.assert_array_equal(tensors["every_other"], [1, 3, 5, 7, 9, 11])
    np.testing.assert_array_equal(tensors["expanded"], [[9, 10, 11], [9, 10, 11]])
    assert tensors["empty"].shape == (0, 4)


def programs(command, marker):
    """Ways to run code from a pickle: each would leave the marker behind."""
    code = f"open({marker!r}, 'w').close()"
    return {
        "os.system": call(name("os", "system"), string(command)),
        "posix.system": call(name("posix", "system"), string(command)),
        "builtins.eval": call(name("builtins", "eval"), string(code)),
        "builtins.exec": call(name("builtins", "exec"), string(code)),
        "__builtin__.eval": call(name("__builtin__", "eval"), string(code)),
        "subprocess.call": call(name("subprocess", "getoutput"), string(command)),
        "by INST": b"(" + string(command) + b"ios\nsystem\n",
        "by OBJ": b"(" + name("os", "system") + string(command) + b"o",
        "by STACK_GLOBAL": call(string("os") + string("system") + b"\x93", string(command)),
        "dotted": call(string("collections") + string("OrderedDict.fromkeys") + b"\x93", b"]"),
        "torch.load": call(name("torch", "load"), string(marker)),
        "torch.hub.load": call(name("torch.hub", "load"), string(marker)),
        "torch._utils": call(name("torch._utils", "_rebuild_parameter"), string(marker)),
        "numpy": call(name("numpy", "load"), string(marker)),
        "pathlib": call(name("pathlib", "Path"), string(marker)),
        "getattr": call(name("builtins", "getattr"), name("collections", "OrderedDict"), b"N"),
    }


@pytest.mark.parametrize("attack", programs("", ""))
@pytest.mark.parametrize("place", ["magic", "version", "little_endian", "state", "value"])
def test_runs_nothing(write, tmp_path, attack, place):
    marker = tmp_path / "executed"
    program = programs(f"touch {marker}", str(marker))[attack]
    state = ordered_dict(w=program) if place == "value" else ordered_dict()
    parts = {"state": state} | ({} if place == "value" else {place: program})
    with pytest.raises(CheckpointError, match=r"weights\.pth"):
        read_checkpoint(write(checkpoint(**parts)))
    assert not marker.exists()


def test_a_refusal_names_what_was_asked_for(write):
    with pytest.raises(CheckpointError, match=r"os\.system, which is not a tensor"):
        read_checkpoint(write(checkpoint(call(name("os", "system"), string("true")))))


def test_a_file_cannot_change_how_later_files_are_read(tmp_path, good):
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    replacement = b"}(" + string("to_array") + name("collections", "OrderedDict") + b"u"
    poison = rebuild + in_tuple(b"N", replacement) + b"b"
    (tmp_path / "poison.pth").write_bytes(checkpoint(poison))
    (tmp_path / "good.pth").write_bytes(good)
    # In a process of its own: where it succeeds, nothing after it can be trusted.
    program = (
        "from gradcam_cli.errors import CheckpointError\n"
        "from gradcam_cli.models.checkpoint import read_checkpoint\n"
        "try: read_checkpoint('poison.pth')\n"
        "except CheckpointError as error: print(error)\n"
        "print(read_checkpoint('good.pth')['w'].tolist())\n"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[0].startswith("poison.pth: ")
    assert done.stdout.splitlines()[1:] == ["[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]"]


@pytest.mark.parametrize("kept", [0.0, 0.05, 0.3, 0.6, 0.9, 0.99])
def test_refuses_truncated_files(write, good, kept):
    with pytest.raises(CheckpointError):
        read_checkpoint(write(good[: int(len(good) * kept)]))


def tensor_of_six(shape, strides, offset=0, size=6, data=None):
    values = np.zeros(6, "<f4")
    return checkpoint(
        ordered_dict(w=tensor(storage("0", size), shape, strides, offset)),
        ["0"],
        raw(values) if data is None else data,
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(tensor_of_six((7,), (1,)), id="longer than its storage"),
        pytest.param(tensor_of_six((3,), (1,), offset=4), id="reaches over the end"),
        pytest.param(tensor_of_six((3,), (1,), offset=-1), id="begins before it"),
        pytest.param(tensor_of_six((3,), (-1,), offset=2), id="goes backwards"),
        pytest.param(tensor_of_six((-3,), (1,)), id="negative size"),
        pytest.param(tensor_of_six((2, 3), (1,)), id="strides of another rank"),
        pytest.param(tensor_of_six((2,), (1000,)), id="too wide strides"),
        pytest.param(tensor_of_six((6,), (1,), size=7), id="another count than declared"),
        pytest.param(tensor_of_six((6,), (1,), data=struct.pack("<q", 6)), id="no numbers"),
        pytest.param(
            tensor_of_six((1,), (1,), size=2**50, data=struct.pack("<q", 2**50)), id="petabytes"
        ),
        pytest.param(tensor_of_six((10**9, 10**9), (0, 0)), id="expands to exabytes"),
        pytest.param(checkpoint(ordered_dict(w=tensor(storage("0", 6), (6,), (1,)))), id="no key"),
        pytest.param(checkpoint(ordered_dict(), ["unknown"]), id="unknown key"),
        pytest.param(checkpoint(ordered_dict(w=number(3))), id="a number for a tensor"),
        pytest.param(checkpoint(number(3)), id="a number for a dict"),
        pytest.param(checkpoint(ordered_dict(), magic=number(3)), id="another magic number"),
        pytest.param(checkpoint(ordered_dict(), version=number(1002)), id="another version"),
        pytest.param(checkpoint(ordered_dict(), little_endian=b"\x89"), id="big-endian"),
        pytest.param(b"", id="empty"),
        pytest.param(b"not a pickle at all", id="text"),
        pytest.param(b"\x80\x02.", id="empty pickle"),
        pytest.param(bytes(range(256)) * 8, id="noise"),
    ],
)
def test_refuses_what_is_no_whole_checkpoint(write, content):
    with pytest.raises(CheckpointError, match=r"weights\.pth"):
        read_checkpoint(write(content))


def test_refuses_the_zip_format(tmp_path):
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(ordered_dict()))
        archive.writestr("archive/version", "3\n")
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


def test_tells_of_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        read_checkpoint(tmp_path / "missing.pth")
    with pytest.raises(CheckpointError, match="directory"):
        read_checkpoint(tmp_path)
