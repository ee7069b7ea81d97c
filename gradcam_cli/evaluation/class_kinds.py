"""Which of ImageNet's classes are kinds of what COCO and Pascal VOC annotate.

COCO annotates a dog where ImageNet knows 118 breeds. The kinds are those that WordNet 3.0 lists
below the word (the classes of ImageNet are synsets of WordNet), and a few that it lists elsewhere:
a catamaran is a sailing vessel there, and no boat.
"""

from __future__ import annotations

from gradcam_cli.models.labels import Labels

# The first class of ImageNet; other lists of 1,000 classes have no WordNet ids.
_FIRST = "n01440764"
_CLASSES = 1000

# Inclusive ranges of indices. A name that means something else in ImageNet has none: its kite is
# a bird. Persons are left out: ImageNet has a groom, but no class for the people in most pictures.
_KINDS = {
    "aeroplane": "404 895",
    "airplane": "404 895",
    "apple": "948",
    "bear": "294-297",
    "bed": "564",
    "bench": "703",
    "bicycle": "444 671",
    "bird": "7-24 80-100 127-146",
    "boat": "472 484 554 576 625 628 724 780 814 833 871 914",
    "bottle": "440 720 737 898-899 901 907",
    "bowl": "659 809",
    "bus": "654 779 874",
    "car": "407 436 468 511 609 627 656 661 751 817",
    "cat": "281-285",
    "cell phone": "487",
    "chair": "423 559 765 857",
    "clock": "409 530 892",
    "couch": "831",
    "cow": "345",
    "cup": "504 968",
    "dining table": "532",
    "diningtable": "532",
    "dog": "151-268",
    "elephant": "385-386",
    "horse": "339",
    "keyboard": "508",
    "kite": "",
    "knife": "499 623",
    "motorbike": "665 670",
    "motorcycle": "665 670",
    "oven": "766",
    "potted plant": "738",
    "pottedplant": "738",
    "remote": "761",
    "sandwich": "933",
    "sheep": "348-349",
    "skis": "795",
    "sofa": "831",
    "spoon": "910",
    "sports ball": "429-430 522 574 722 768 805 852 890",
    "stop sign": "919",
    "teddy bear": "850",
    "tennis racket": "752",
    "tie": "451 457 906",
    "toilet": "861",
    "train": "466 547 565 705 820 829",
    "truck": "555 569 675 717 734 864 867",
    "tv": "664 782 851",
    "tvmonitor": "664 782 851",
    "wine glass": "572",
}


def find_kinds(name: str, labels: Labels) -> tuple[int, ...] | None:
    """Finds the classes of ImageNet that are kinds of an annotated category.

    Args:
        name: The name of a category of COCO or Pascal VOC, such as "dog" or "dining table".
        labels: The model's classes.

    Returns:
        Their indices, none if ImageNet has no such class; None if the name isn't in the table,
        or the classes aren't those of ImageNet.
    """
    if len(labels) != _CLASSES or labels.wnid(0) != _FIRST:
        return None
    listed = _KINDS.get(" ".join(name.casefold().replace("_", " ").split()))
    if listed is None:
        return None
    kinds: list[int] = []
    for part in listed.split():
        first, _, last = part.partition("-")
        kinds += range(int(first), int(last or first) + 1)
    return tuple(kinds)
