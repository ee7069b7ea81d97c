"""Which pictures are decoded ahead and explained together, simulated with a network and a disk."""

import random
from collections import Counter

import pytest

from gradcam_cli.run.batching import BatchSize
from gradcam_cli.run.look_ahead import LookAhead

SMALL, LARGE = 500 * 375, 8000 * 6000


def simulate(shapes, pixels=SMALL, *, streams=2, workers=2, largest=4, fixed=None, seed=0):
    """Takes pictures through a run whose steps end in any order.

    Returns:
        The shape and size of each batch, and the most pictures and the most pixels held.
    """
    rng = random.Random(seed)
    size = BatchSize(largest, fixed)
    ahead = LookAhead(size, streams, workers)
    sizes = pixels if isinstance(pixels, list) else [pixels] * len(shapes)
    reading, running, drawing, drawn = [], [], [], set()
    batches, oldest, begun, next_drawn, most_held, most_pixels = [], 0, 0, 0, 0, 0
    explained = set()
    while oldest < len(shapes):
        while begun < len(shapes) and ahead.may_read(begun - oldest, len(drawing)):
            ahead.begin()
            reading.append(begun)
            begun += 1
        while batch := ahead.next_batch(begun == len(shapes)):
            assert len({shapes[place] for place in batch}) == 1
            batches.append((shapes[batch[0]], len(batch)))
            running.append(batch)
        assert len(running) <= 2 * streams
        decoded = set(range(oldest, begun)) - set(reading) - drawn
        most_held = max(most_held, begun - oldest)
        most_pixels = max(most_pixels, sum(sizes[place] for place in decoded))
        # Something must be going on, or a real run would wait for ever.
        events = {"read": reading, "run": running, "draw": drawing}
        going_on = [name for name, some in events.items() if some]
        # A batch is drawn picture by picture.
        event = rng.choices(going_on, [5 if name == "draw" else 1 for name in going_on])[0]
        if event == "read":
            place = reading.pop(rng.randrange(len(reading)))
            ahead.add(place, shapes[place], sizes[place])
        elif event == "run":
            explained.update(running.pop(rng.randrange(len(running))))
            ahead.finish_batch()
            while next_drawn in explained:
                drawing.append(next_drawn)
                next_drawn += 1
        else:
            place = drawing.pop(rng.randrange(len(drawing)))
            ahead.release(place)
            drawn.add(place)
            while oldest in drawn:
                oldest += 1
    return batches, most_held, most_pixels


def test_all_pictures_are_explained_once_in_batches_of_one_shape():
    rng = random.Random(1)
    shapes = [rng.choice("aaaaabbbccd") for _ in range(300)]
    batches, _, _ = simulate(shapes)
    explained = Counter()
    for shape, count in batches:
        explained[shape] += count
    assert explained == Counter(shapes)


def test_batches_are_full_whatever_lies_between():
    shapes = [*"abcde"] * 40
    batches, _, _ = simulate(shapes)
    full = sum(count for _, count in batches if count == 4)
    assert full >= 0.9 * len(shapes)


def test_one_shape_needs_few_pictures_in_memory():
    _, most_held, _ = simulate(["a"] * 400)
    assert most_held < 40


def test_a_rare_shape_holds_up_nobody():
    shapes = ["a"] * 2000
    shapes[100] = shapes[1500] = "b"
    batches, most_held, _ = simulate(shapes)
    assert most_held <= LookAhead(BatchSize(4), 2, 2).window
    assert batches.count(("b", 1)) == 2
    assert sum(count == 4 for _, count in batches) >= 480


def test_rare_pictures_at_the_end_go_together():
    shapes = [*"aaaaaaaaaaaa", *"bcdbcdbcd"]
    batches, _, _ = simulate(shapes)
    assert [count for shape, count in batches if shape in "bcd"] == [3, 3, 3]


def test_large_pictures_are_few_in_memory():
    _, _, most_pixels = simulate(["a"] * 30, LARGE)
    # Four are begun before anybody knows how large they are.
    assert most_pixels <= 4 * LARGE
    _, _, most_pixels = simulate([*"ab"] * 500, [SMALL] * 500 + [LARGE] * 500)
    assert most_pixels <= 40_000_000 + 4 * LARGE


def test_one_large_picture_does_not_slow_down_the_others():
    pixels = [SMALL] * 400
    pixels[50::100] = [12_000_000] * 4
    batches, _, _ = simulate(["a"] * 400, pixels)
    assert sum(count == 4 for _, count in batches) >= 95


@pytest.mark.parametrize("size", [1, 7, 300])
def test_a_wanted_size_is_kept_whatever_the_pictures(size):
    batches, _, _ = simulate(["a"] * 600, 1_000_000, fixed=size)
    assert max(count for _, count in batches) == size
    assert sum(count == size for _, count in batches) >= 600 // size - 1


@pytest.mark.parametrize("pixels", [SMALL, 3_000_000, "mixed"])
def test_batches_do_not_depend_on_what_ends_first(pixels):
    rng = random.Random(2)
    shapes = [rng.choice("aaaaaabbbbccde") for _ in range(400)]
    if pixels == "mixed":
        pixels = [rng.choice([SMALL] * 30 + [12_000_000]) for _ in shapes]
    found = [
        simulate(shapes, pixels, seed=seed, workers=workers)[0]
        for seed, workers in enumerate([2, 2, 2, 2, 8])
    ]
    assert all(batches == found[0] for batches in found)
