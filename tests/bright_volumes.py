"""Volumes with a bright ball at a known place, and a network that looks at nothing else."""

import keras
import nibabel
import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIDE = 64
# The side of a cell of the map, in pixels of the input.
CELL = 4
TISSUE, BALL = 400, 1000
RADIUS = 14.0


def save_bright(folder):
    """Saves a model whose class 1 is light grey somewhere, by its weights, and its labels."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(2, 1, activation="relu", name="bright")(inputs)
    x = keras.layers.AveragePooling2D(CELL, name="pool")(x)
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="last")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(2, activation="softmax", name="scores")(x)
    model = keras.Model(inputs, outputs, name="bright")
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    kernel[0, 0, :, 0] = 1 / 3
    model.get_layer("bright").set_weights([kernel, np.float32([-0.6, 0])])
    model.get_layer("last").set_weights([np.eye(2, dtype=np.float32)[None, None]])
    weights = np.array([[-900, 900], [0, 0]], np.float32)
    model.get_layer("scores").set_weights([weights, np.float32([1.5, -1.5])])
    model.save(folder / "bright.keras")
    (folder / "labels.txt").write_text("dark\nbright\n")
    return ["--model", "bright.keras", "--labels", "labels.txt", "--preprocess", "0-1"]


def save_bright_volumes(folder):
    """Saves the same for whole volumes of one channel."""
    inputs = keras.Input((SIDE // 2, SIDE // 2, SIDE // 2, 1))
    x = keras.layers.Conv3D(2, 1, activation="relu", name="bright")(inputs)
    x = keras.layers.AveragePooling3D(CELL // 2, name="pool")(x)
    x = keras.layers.Conv3D(2, 1, use_bias=False, name="last")(x)
    x = keras.layers.GlobalAveragePooling3D()(x)
    outputs = keras.layers.Dense(2, activation="softmax", name="scores")(x)
    model = keras.Model(inputs, outputs, name="bright_volumes")
    kernel = np.zeros((1, 1, 1, 1, 2), np.float32)
    kernel[..., 0] = 1
    model.get_layer("bright").set_weights([kernel, np.float32([-0.6, 0])])
    model.get_layer("last").set_weights([np.eye(2, dtype=np.float32)[None, None, None]])
    weights = np.array([[-9000, 9000], [0, 0]], np.float32)
    model.get_layer("scores").set_weights([weights, np.float32([1.5, -1.5])])
    model.save(folder / "volumes.keras")
    return ["--model", "volumes.keras", "--labels", "labels.txt", "--preprocess", "0-1"]


def with_ball(shape, affine, place):
    """Returns grey tissue with a ball around a place in mm, brightest in its middle, int16."""
    numbers = np.indices(shape).reshape(3, -1)
    places = affine[:3, :3] @ numbers + affine[:3, 3:]
    distance = np.linalg.norm(places - np.reshape(place, (3, 1)), axis=0).reshape(shape)
    return (TISSUE + (BALL - TISSUE) * (1 - distance / RADIUS).clip(0)).astype(np.int16)


def cells_from(heat_path, place, whole=False):
    """Returns how far the hottest voxel of a heat map is from a place, in cells of each axis.

    A network for slices has the cells of voxels across them, one for whole volumes its own.
    """
    image = nibabel.load(heat_path)
    heat = image.get_fdata()
    hottest = np.array(np.unravel_index(heat.argmax(), heat.shape))
    there = np.linalg.inv(image.affine) @ [*place, 1.0]
    cells = np.array(heat.shape) * CELL / SIDE
    if not whole:
        cells = np.maximum(cells, 1)
    return np.abs(hottest - there[:3]) / cells


def rotation(degrees, axis):
    """Returns a rotation around an axis, (3, 3)."""
    angle = np.radians(degrees)
    turned = np.eye(3)
    first, second = [one for one in range(3) if one != axis]
    turned[[first, second], [first, second]] = np.cos(angle)
    turned[first, second], turned[second, first] = -np.sin(angle), np.sin(angle)
    return turned


def dicom_slice(values, **attributes):
    """Makes a DICOM file of (rows, columns) int16 values; attributes may be replaced or added."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID = "Doe^Secret", "4711-SECRET"
    dataset.Modality = "CT"
    dataset.Rows, dataset.Columns = values.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.PixelData = values.astype("<i2").tobytes()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def save_series(folder, values, affine, order, **attributes):
    """Saves (columns, rows, slices) values as DICOM files, in some order, without other names.

    Args:
        folder: Where to write them.
        values: int16.
        affine: From voxels to mm to the right, to the front and up.
        order: The slices in the order of their names.
        attributes: What all of them have.
    """
    folder.mkdir(parents=True)
    to_dicom = np.diag([-1.0, -1.0, 1.0])
    steps, start = to_dicom @ affine[:3, :3], to_dicom @ affine[:3, 3]
    spacing = np.linalg.norm(steps, axis=0)
    directions = (steps / spacing)[:, :2].T.ravel()
    series = generate_uid()
    for place, number in enumerate(order):
        own = {
            "SeriesInstanceUID": series,
            "ImagePositionPatient": [round(one, 4) for one in start + steps[:, 2] * number],
            "ImageOrientationPatient": [round(one, 6) for one in directions],
            "PixelSpacing": [round(spacing[1], 6), round(spacing[0], 6)],
            "SliceThickness": spacing[2],
            **attributes,
        }
        dataset = dicom_slice(values[..., number].T, **own)
        dataset.save_as(folder / f"IM{place:04}.dcm", enforce_file_format=True)
