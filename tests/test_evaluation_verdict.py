"""Ranks, their intervals, the agreement of metrics and the verdict, on planted values."""

import re

import numpy as np
import pytest

from gradcam_cli.cam.blank_maps import BlankMap, BlankReason
from gradcam_cli.cli.console import stdout_console
from gradcam_cli.cli.evaluation_display import ResultTables
from gradcam_cli.evaluation.evaluated_maps import EvaluatedMaps
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.evaluation.ranking import best_rows, kendalls_w
from gradcam_cli.evaluation.result_records import evaluation_record, summary_rows
from gradcam_cli.evaluation.results import Evaluation
from gradcam_cli.evaluation.verdict import Verdict

RNG = np.random.default_rng(0)
PICTURES = 30
BEATEN_IN_BOTH = {
    "random map": ["deletion", "insertion"],
    "centre Gaussian": ["deletion", "insertion"],
}
NOISE = RNG.normal(0, 0.01, (9, PICTURES))


def maps(layer, method="gradcam", blanks=None, **values):
    """One row, of the values of each picture by metric."""
    values = {name: np.asarray(found, np.float64) for name, found in values.items()}
    numbers = range(len(next(iter(values.values()))))
    return EvaluatedMaps(
        method,
        {"gradcam": "Grad-CAM", "layercam": "LayerCAM"}.get(method, method),
        layer,
        {name: Measurement(found) for name, found in values.items()},
        {number: {name: found[number] for name, found in values.items()} for number in numbers},
        blanks or {},
    )


def evaluation(*rows, pictures_left=0):
    names = list(rows[0].measurements)
    number = len(rows[0].values)
    return Evaluation(
        "model", [f"{n}.png" for n in range(number)], [*rows], names, [], pictures_left
    )


def baselines(**values):
    return maps(None, "random map", **values), maps(None, "centre Gaussian", **values)


def around(mean, noise, number=PICTURES):
    return mean + NOISE[noise][:number]


def printed(found, width=120, default_layer=None):
    """What the commands print of an evaluation."""
    tables = ResultTables(found, found.judge(default_layer), default_layer)
    console = stdout_console()
    console.width = width
    with console.capture() as capture:
        console.print(tables.heading())
        for table in tables.tables(width):
            console.print(table)
    return capture.get()


def test_kendalls_w_with_ties_by_hand():
    ranks = np.array([[1.5, 1.5, 3, 4], [1, 2.5, 2.5, 4], [1, 2, 3, 4]])
    # The sums of ranks are 3.5, 6, 8.5 and 12, and their mean is 7.5. Two judges have a pair of
    # ties each: 2 * (2**3 - 2) = 12.
    squared = 4**2 + 1.5**2 + 1**2 + 4.5**2
    assert kendalls_w(ranks) == pytest.approx(12 * squared / (3**2 * (4**3 - 4) - 3 * 12))
    assert kendalls_w(ranks) == pytest.approx(0.94048, abs=1e-5)


def test_kendalls_w_at_its_ends():
    assert kendalls_w(np.array([[1, 2, 3], [1, 2, 3]])) == 1
    # Ties that all judges have don't lower the agreement.
    assert kendalls_w(np.array([[1, 2.5, 2.5], [1, 2.5, 2.5]])) == pytest.approx(1)
    assert kendalls_w(np.array([[1, 2, 3], [3, 2, 1]])) == 0
    assert kendalls_w(np.array([[2, 2, 2], [2, 2, 2]])) is None


def test_ranks_of_pictures_by_hand():
    found = evaluation(
        # Less deletion and more ROAD are better. In the first picture, two share the ranks 1
        # and 2 of ROAD. Sparseness doesn't query the network, so it doesn't rank.
        maps("early", deletion=[0.3, 0.3], road=[0.1, 0.5], sparseness=[0.9, 0.9]),
        maps("middle", deletion=[0.1, 0.2], road=[0.2, 0.4], sparseness=[0.1, 0.1]),
        maps("late", deletion=[0.2, 0.1], road=[0.2, 0.3], sparseness=[0.2, 0.2]),
        *baselines(deletion=[0, 0], road=[1, 1], sparseness=[0, 0]),
    )
    ranking = found.rank()
    assert ranking.metrics == ["deletion", "road"]
    assert [row.maps.layer for row in ranking.rows] == ["middle", "late", "early"]
    ranks = [row.ranks.values.tolist() for row in ranking.rows]
    assert ranks == [[1.25, 2], [1.75, 2], [3, 2]]
    assert ranking.rows[0].ranks.mean == 1.625
    only = found.rank(["road"])
    assert [row.maps.layer for row in only.rows] == ["middle", "early", "late"]
    assert [row.ranks.mean for row in only.rows] == [1.75, 2, 2.25]
    assert only.agreement is None
    # The means of deletion order them middle and late, early; those of ROAD by these numbers:
    # early 0.3, middle 0.3, late 0.25.
    expected = kendalls_w(np.array([[3, 1.5, 1.5], [1.5, 1.5, 3]]))
    assert ranking.agreement == pytest.approx(expected)


def test_maps_that_differ_by_rounding_are_tied():
    value = around(0.5, 0)
    found = evaluation(maps("a", deletion=value), maps("b", deletion=value + 1e-9))
    assert [row.ranks.mean for row in found.rank().rows] == [1.5, 1.5]
    assert not best_rows(found.rows, "deletion")


def test_a_metric_without_a_value_does_not_rank_in_that_picture():
    nan = np.nan
    found = evaluation(
        maps("a", deletion=[0.1, nan, nan], road=[0.1, 0.1, nan]),
        maps("b", deletion=[0.2, 0.1, 0.1], road=[0.2, 0.2, 0.2]),
    )
    a, b = sorted(found.rank().rows, key=lambda row: row.maps.layer)
    assert a.ranks.values.tolist() == [1.5, 2]
    assert b.ranks.values.tolist() == [1.5, 1]


def clear_winner(number=PICTURES):
    """One layer is better in every metric; two are alike."""
    levels = {"block1": 0.30, "block2": 0.10, "block3": 0.30}
    rows = [
        maps(
            layer,
            deletion=around(level, 2 * n, number),
            insertion=around(0.5 - level, 2 * n + 1, number),
        )
        for n, (layer, level) in enumerate(levels.items())
    ]
    return evaluation(
        *rows, *baselines(deletion=around(0.5, 7, number), insertion=around(0.1, 8, number))
    )


def test_a_clear_winner_is_recommended():
    found = clear_winner()
    verdict = found.judge()
    first = verdict.ranking.rows[0]
    assert (first.maps.layer, first.ranks.mean, first.ranks.interval) == ("block2", 1, (1, 1))
    assert verdict.ranking.leaders == [first]
    for row in verdict.ranking.rows[1:]:
        low, high = row.ranks.interval
        assert 2 <= low < 2.5 < high <= 3
    assert verdict.recommended is first.maps
    assert verdict.sentences[0] == (
        "Recommended: block2. Its mean rank is better than that of all others, beyond chance."
    )
    assert verdict.beaten[0] == BEATEN_IN_BOTH
    assert not any("None beats" in sentence for sentence in verdict.sentences)
    text = printed(found)
    assert text.splitlines()[0].startswith("model · Grad-CAM · 30 pictures · mean ± half")
    assert re.search(r"Insertion ↑\s+block2 .*\s+block", text)
    # One in each column.
    assert text.count("★") == 1 + 2
    assert "Beats centre Gaussian" in text
    assert text.count("2 of 2") == 3 * 2


def test_the_default_layer_is_kept_unless_another_is_better():
    found = clear_winner()
    better = found.judge("block3")
    assert better.recommended.layer == "block2"
    assert better.sentences[0] == (
        "Recommended: block2. Its mean rank is better than that of all others, beyond chance."
    )
    same = found.judge("block2")
    assert "Recommended: block2, the default layer." in same.sentences[0]
    alike = Evaluation("model", found.pictures, found.rows[:1] + found.rows[2:], found.metrics)
    for default in ("block1", "block3"):
        kept = alike.judge(default)
        assert kept.recommended.layer == default
        assert kept.sentences[0].startswith(f"Keep the default layer, {default}: no difference")
    absent = found.judge("block9")
    assert absent.recommended.layer == "block2"
    assert absent.sentences[1] == "The default layer, block9, was not measured."
    text = printed(found, default_layer="block3")
    assert text.count("(default)") == 1
    assert "block3 (default)" in text


def test_one_of_several_leaders_is_better_than_the_default_layer():
    others = {f"other{n}": around(0.1, n) for n in range(2)}
    rows = [maps(layer, deletion=values) for layer, values in others.items()]
    found = evaluation(*rows, maps("last", deletion=around(0.3, 3)))
    verdict = found.judge("last")
    first, second = (ranked.maps for ranked in verdict.ranking.rows[:2])
    assert verdict.recommended is first
    assert verdict.sentences[0] == (
        f"Recommended: {first.layer}. Its mean rank is better than that of the default layer, "
        f"last, beyond chance, but not than that of {second.layer}."
    )


def test_no_difference_is_said_to_be_none():
    methods = ("gradcam", "layercam", "fem")
    rows = [
        maps("last", method, deletion=around(0.2, 2 * n), road=around(0.2, 2 * n + 1))
        for n, method in enumerate(methods)
    ]
    found = evaluation(*rows, *baselines(deletion=around(0.5, 7), road=around(0.2, 8)))
    verdict = found.judge()
    assert verdict.recommended is None
    assert len(verdict.ranking.leaders) == 3
    choice, *others = verdict.sentences
    assert choice.startswith("No difference beyond chance between ")
    assert all(name in choice for name in ("Grad-CAM", "LayerCAM", "fem"))
    assert "last" not in choice
    assert "None beats the random map in ROAD." in others
    assert "None beats the centre Gaussian in ROAD." in others
    worse = maps("last", "eigencam", deletion=around(0.4, 6), road=around(0.1, 6))
    some = evaluation(*rows, worse, *found.baselines).judge()
    assert len(some.ranking.leaders) == 3
    assert some.sentences[0].endswith("; the others rank worse.")
    # Nothing is best in ROAD, where nothing beats the baselines.
    assert not best_rows(found.rows, "road")
    text = printed(found)
    assert text.splitlines()[0].count("layer last") == 1
    assert text.count("last") == 1


def test_what_beats_no_baseline_is_not_recommended():
    found = evaluation(
        maps("a", deletion=around(0.1, 0)),
        maps("b", deletion=around(0.3, 1)),
        *baselines(deletion=around(0.05, 2)),
    )
    verdict = found.judge()
    assert verdict.recommended is None
    assert verdict.sentences == [
        "None can be recommended: a is among the first, but does not beat the random map or the "
        "centre Gaussian in any metric.",
        "None beats the random map in any metric.",
        "None beats the centre Gaussian in any metric.",
    ]
    assert "★" not in printed(found)


@pytest.mark.parametrize(
    ("means", "said"),
    [
        ([(1, 2, 3), (1, 2, 3), (1, 2, 3)], "largely agree on the order: Kendall's W is 1.00"),
        ([(1, 2, 3), (1, 2, 3), (1, 3, 2)], "agree on the order only in part: Kendall's W is 0.78"),
        ([(1, 2, 3), (3, 2, 1), (1, 3, 2)], "contradict each other on the order, which a mean"),
    ],
)
def test_the_agreement_of_metrics_is_told(means, said):
    names = ("deletion", "road", "insertion")
    signs = (1, -1, -1)
    rows = [
        maps(
            f"layer{n}",
            **{
                name: around(0.1 * sign * level[n], n, 6)
                for name, level, sign in zip(names, means, signs, strict=True)
            },
        )
        for n in range(3)
    ]
    (sentence,) = [text for text in evaluation(*rows).judge().sentences if "Kendall" in text]
    assert said in sentence
    assert sentence.endswith("(1: the same order; 0.33: chance).")


def test_a_metric_without_an_order_is_no_judge():
    levels = (0.1, 0.2, 0.3)
    rows = [
        maps(f"layer{n}", deletion=around(level, n), insertion=around(-level, n), road=around(0, 0))
        for n, level in enumerate(levels)
    ]
    ranking = evaluation(*rows).rank()
    assert (ranking.judges, ranking.agreement) == (["deletion", "insertion"], 1)
    assert evaluation(*rows).rank(["deletion", "road"]).agreement is None
    sentence = evaluation(*rows).judge().sentences[-1]
    assert sentence.startswith("The 2 metrics that differ largely agree on the order: ")


def test_few_pictures_are_said_to_be_too_few_once():
    found = clear_winner(5)
    verdict = found.judge("block1")
    assert verdict.recommended is None
    assert [text for text in verdict.sentences if "Kendall" not in text] == [
        "5 pictures are too few to say which is best or what beats the random map or the centre "
        "Gaussian."
    ]
    text = printed(found)
    assert "★" not in text
    assert "±" in text
    assert "Beats" not in text


def test_a_single_picture_has_no_interval():
    several = clear_winner(1)
    single = evaluation(
        maps("a", average_drop=[0.25]), *baselines(average_drop=[0.5]), pictures_left=7
    )
    for found in (several, single):
        assert "±" not in printed(found) + " ".join(found.judge().sentences)
    assert single.judge().sentences == [
        "Grad-CAM · a keeps 75 % of the confidence; a random map keeps 50 %; a centre Gaussian "
        "keeps 50 %.",
        "1 picture is too few to say whether it beats the random map or the centre Gaussian.",
    ]
    assert "interrupted: only 1 of 8 pictures" in printed(single)


def test_a_single_method_has_no_rank_and_no_star():
    found = evaluation(maps("a", deletion=around(0.1, 0)), *baselines(deletion=around(0.3, 1)))
    text = printed(found)
    assert "★" not in text
    assert "Mean rank" not in text
    assert "Grad-CAM · a" in text
    verdict = found.judge()
    assert verdict.recommended is None
    assert verdict.sentences == [
        "Grad-CAM · a beats the random map in every metric.",
        "It beats the centre Gaussian in every metric.",
    ]


def test_without_faithfulness_there_is_no_rank():
    rows = [maps(layer, sparseness=around(0.1, n)) for n, layer in enumerate("ab")]
    verdict = evaluation(*rows).judge()
    assert isinstance(verdict, Verdict)
    assert verdict.ranking.rows == verdict.beaten == []
    assert verdict.sentences == [
        "No measured metric shows what the network used; add --metric deletion."
    ]


def test_the_same_reason_of_blank_maps_is_told_once():
    blank = BlankMap(BlankReason("dead-relu"), "the layer is dead")
    rows = [maps(layer, blanks={3: blank}, deletion=around(0.1, 0)) for layer in "ab"]
    rows.append(maps("c", deletion=around(0.1, 1)))
    sentences = evaluation(*rows).judge().sentences
    assert sentences[-1] == "a and b: 1 of its 30 maps shows nothing: the layer is dead."


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_the_terminal_and_show_all_metrics(width):
    names = ("deletion", "road", "insertion", "average_drop", "mu_fidelity", "sparseness")
    rows = [
        maps(f"block{n}_activation", **{name: around(0.1 * n, n) for name in names})
        for n in range(4)
    ]
    found = evaluation(*rows, *baselines(**{name: around(0.5, 5) for name in names}))
    text = printed(found, width)
    assert max(map(len, text.splitlines()[1:])) <= width
    for title in ("Deletion", "ROAD", "Insertion", "Drop %", "MuFidelity", "Sparseness"):
        assert text.count(f" {title} ") == 1


def test_records_and_tables_have_the_ranks():
    found = clear_winner()
    record = evaluation_record(found, found.judge())
    assert record["recommended"] == {"method": "gradcam", "layer": "block2"}
    first, *others = record["ranking"]
    assert first == {
        "method": "gradcam",
        "layer": "block2",
        "mean_rank": 1,
        "low": 1,
        "high": 1,
        "leads": True,
        "beats": BEATEN_IN_BOTH,
    }
    assert not any(row["leads"] for row in others)
    assert record["kendalls_w"] == pytest.approx(found.rank().agreement, abs=1e-6)
    assert record["pictures_left"] == 0
    rows = [row for row in summary_rows(found) if row[3] == "mean_rank"]
    assert len(rows) == 3
    assert ["model", "gradcam", "block2", "mean_rank", 1, 1, 1, PICTURES] in rows
