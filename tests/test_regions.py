"""From maps to regions, checked by hand and against a flood fill."""

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.pictures.regions import find_region, simplify_outline
from gradcam_cli.rendering.regions import box_line, draw_lines


def test_box_is_that_of_the_largest_part_in_whole_pixels():
    heatmap = np.zeros((6, 8), np.float32)
    heatmap[1:3, 1:4] = 0.5
    heatmap[4, 6] = 1.0
    region = find_region(heatmap)
    # The small part is the hottest, but the large one is the object.
    assert region.box == (1, 1, 4, 3)
    assert len(region.outlines) == 2


def test_threshold_is_a_part_of_the_maximum_and_included():
    heatmap = np.array([[0.2, 0.1, 0.02, 0.0]], np.float32)
    assert find_region(heatmap, 0.5).box == (0, 0, 2, 1)
    assert find_region(heatmap, 0.51).box == (0, 0, 1, 1)
    assert find_region(heatmap, 0.05).box == (0, 0, 3, 1)
    assert find_region(heatmap, 1.0).box == (0, 0, 1, 1)


def test_map_of_zeros_has_no_region():
    region = find_region(np.zeros((5, 5), np.float32))
    assert region.box is None
    assert region.outlines == []


def test_region_that_fills_the_picture_is_the_picture():
    region = find_region(np.ones((5, 7), np.float32))
    assert region.box == (0, 0, 7, 5)
    (outline,) = region.outlines
    assert outline.min(axis=0).tolist() == [0, 0]
    assert outline.max(axis=0).tolist() == [7, 5]


def test_outline_lies_where_the_map_crosses_the_threshold():
    heatmap = np.tile(np.linspace(1, 0, 11, dtype=np.float32), (20, 1))
    (outline,) = find_region(heatmap, 0.55).outlines
    # 0.55 is between the pixels 4 (0.6) and 5 (0.5), whose middles are at 4.5 and 5.5.
    inner = outline[(outline[:, 1] > 2) & (outline[:, 1] < 18) & (outline[:, 0] > 0)]
    assert inner[:, 0] == pytest.approx(np.full(len(inner), 5.0), abs=1e-3)


def test_hole_is_outlined_and_makes_a_part_smaller():
    heatmap = np.zeros((20, 40), np.float32)
    heatmap[1:19, 1:19] = 1
    heatmap[2:18, 2:18] = 0
    heatmap[2:14, 24:38] = 1
    region = find_region(heatmap, 0.5)
    assert region.box == (24, 2, 38, 14)
    assert len(region.outlines) == 3


@pytest.mark.parametrize("seed", range(4))
def test_box_equals_that_of_a_flood_fill(seed):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.random((5, 6)).astype(np.float32) ** 3)
    heatmap = np.asarray(small.resize((90, 70), Image.Resampling.BICUBIC)).clip(0, 1)
    assert find_region(heatmap, 0.4).box == flood_fill_box(heatmap >= 0.4 * heatmap.max())


def flood_fill_box(mask):
    todo = set(zip(*np.nonzero(mask), strict=True))
    largest = set()
    while todo:
        part, edge = set(), [todo.pop()]
        while edge:
            row, column = edge.pop()
            part.add((row, column))
            for near in (
                (row + 1, column),
                (row - 1, column),
                (row, column + 1),
                (row, column - 1),
            ):
                if near in todo:
                    todo.remove(near)
                    edge.append(near)
        largest = max(largest, part, key=len)
    rows, columns = zip(*largest, strict=True)
    return (min(columns), min(rows), max(columns) + 1, max(rows) + 1)


def test_simplified_outline_stays_on_the_line():
    angles = np.linspace(0, 2 * np.pi, 2000)
    circle = np.stack([100 + 80 * np.cos(angles), 100 + 80 * np.sin(angles)], axis=1)
    fewer = simplify_outline(circle.astype(np.float32))
    assert len(fewer) < 200
    assert np.hypot(*(fewer - 100).T) == pytest.approx(np.full(len(fewer), 80), abs=0.6)
    assert fewer[0] == pytest.approx(fewer[-1], abs=1)


def test_drawn_box_is_white_on_its_edge_and_leaves_its_inside_alone():
    picture = Image.new("RGB", (200, 120), (90, 20, 160))
    drawn = draw_lines(picture, [box_line((40, 30, 160, 90))])
    assert min(drawn.getpixel((100, 30))) > 200
    assert min(drawn.getpixel((159, 60))) > 150
    assert drawn.getpixel((100, 60)) == (90, 20, 160)
    assert picture.getpixel((100, 30)) == (90, 20, 160)


def test_box_at_the_edge_of_a_picture_is_seen():
    drawn = draw_lines(Image.new("RGB", (200, 120)), [box_line((0, 0, 200, 120))])
    for point in ((1, 60), (198, 60), (100, 1), (100, 118)):
        assert min(drawn.getpixel(point)) > 180
