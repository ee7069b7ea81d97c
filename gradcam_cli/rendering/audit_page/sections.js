"use strict";
/* Sections: what the page shows of the audit, a little of each list at first. */
(() => {
  const { data, byId, create, percent } = base;
  const { frame } = strips;
  const { fillStrips, countOf } = sheet;
  const MEAN_SIDE = 192;
  const FIRST_STRIPS = 6;
  const FIRST_PAIRS = 12;
  const FIRST_TILES = 13;
  const FIRST_TWINS = 6;
  const PEEKED = 4;
  const MOST_TWINS = 8;

  const filled = [];
  const fill = (...options) => filled.push(sheet.fill(...options));

  const link = (href, text) => {
    const element = create("a", text);
    element.href = href;
    return element;
  };

  // Findings, each with a look at its first pictures.

  const peekers = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        peekers.unobserve(target);
        peek(target);
      }
    },
    { rootMargin: "300px" },
  );
  async function peek(target) {
    const numbers = data.findings[target.dataset.peek].slice(0, PEEKED);
    const records = await shards.records("pictures", numbers);
    target.append(...records.filter(Boolean).map((record) => frame(record, { map: record.map })));
  }
  for (const target of document.querySelectorAll("[data-peek]")) peekers.observe(target);

  // Most confused classes.

  function confusedPairs() {
    const counts = new Map();
    const totals = new Map();
    data.truths.forEach((truth, number) => {
      if (truth < 0) return;
      totals.set(truth, (totals.get(truth) ?? 0) + 1);
      const predicted = data.predicted[number];
      if (predicted === truth) return;
      const key = `${truth}-${predicted}`;
      const pair = counts.get(key) ?? { truth, predicted, count: 0 };
      pair.count += 1;
      counts.set(key, pair);
    });
    const pairs = [...counts.values()];
    for (const pair of pairs) pair.part = pair.count / totals.get(pair.truth);
    return pairs.sort((a, b) => b.count - a.count || b.part - a.part);
  }

  if (byId("pairs")) {
    const pairs = confusedPairs();
    if (!pairs.length) byId("pairs").replaceWith(create("p", "Every prediction is right.", "about"));
    else {
      fill(
        byId("pairs"),
        pairs,
        (some) =>
          some.map(({ truth, predicted, count, part }) => {
            const item = create("li");
            const row = link(`#cell-${truth}-${predicted}`);
            const names = create("span", "", "pair");
            names.append(
              create("span", data.names[truth]),
              create("span", "predicted ", "soft"),
              create("span", data.names[predicted]),
            );
            row.append(names, create("span", `${count} · ${percent(part)}`, "part"));
            item.append(row);
            return item;
          }),
        FIRST_PAIRS,
      );
    }
  }

  // Pictures, mean maps, groups and twins.

  for (const list of document.querySelectorAll("[data-strips]")) {
    filled.push(fillStrips(list, data[list.dataset.strips], FIRST_STRIPS));
  }

  function figure(record, name) {
    const frames = create("span", "", "frames");
    if (record) {
      frames.append(
        frame(record, { alt: `mean picture: ${name}` }),
        frame(record, { map: record.map, side: MEAN_SIDE, alt: `mean map: ${name}` }),
      );
    }
    return frames;
  }

  function tile(record, name, parts) {
    const item = create("li", "", "tile");
    item.append(figure(record, name), create("h3", name), ...parts);
    return item;
  }

  const PARTS = [["border", "in the outer tenth"], ["corners", "in the corners"], ["onObject", "on the object"]];
  fill(
    byId("mean-tiles"),
    data.means,
    async (some, from) =>
      (await shards.records("means", some.map((_, place) => from + place))).map((record, place) => {
        const mean = some[place];
        const list = create("dl");
        for (const [key, text] of PARTS) {
          if (mean[key] === null) continue;
          const pair = create("div");
          pair.append(create("dt", text), create("dd", percent(mean[key])));
          list.append(pair);
        }
        const counted = countOf(mean.count);
        const count = create("p", mean.index === null ? counted : "");
        if (mean.index !== null) count.append(link(`#class-${mean.index}`, counted));
        const item = tile(record, mean.name, [count, list]);
        item.classList.toggle("all", mean.index === null);
        return item;
      }),
    FIRST_TILES,
  );

  if (byId("group-tiles")) {
    fill(
      byId("group-tiles"),
      data.groups,
      async (some, from) =>
        (await shards.records("groups", some.map((_, place) => from + place))).map((record, place) => {
          const group = some[place];
          const count = create("p");
          count.append(link(`#group-${from + place}`, countOf(group.pictures.length)));
          const item = tile(record, group.name, [count]);
          item.classList.toggle("suspicious", Boolean(group.suspicion));
          if (group.suspicion) item.append(create("p", `Suspicious: ${group.suspicion}`, "suspicion"));
          return item;
        }),
      FIRST_TILES - 1,
    );
  }

  if (byId("twins")) {
    fill(
      byId("twins"),
      data.duplicates,
      (some, from) =>
        Promise.all(
          some.map(async ({ pictures, classes }, place) => {
            const item = create("li");
            const shown = await shards.records("pictures", pictures.slice(0, MOST_TWINS));
            const frames = create("span", "", "frames");
            frames.append(
              ...shown.filter(Boolean).map((record) => frame(record, { alt: record.name })),
            );
            const words = create("p");
            words.append(
              link(`#twins-${from + place}`, countOf(pictures.length)),
              create("span", ` of ${classes.join(", ")}`, classes.length > 1 ? "wrong" : "soft"),
            );
            item.append(frames, words);
            return item;
          }),
        ),
      FIRST_TWINS,
    );
  }

  // Remarks.

  for (const list of document.querySelectorAll("[data-lines]")) {
    fill(list, data[list.dataset.lines], (some) => some.map((text) => create("li", text)));
  }

  // The lists above it have moved what the page's address names.
  Promise.all(filled).then(() => {
    byId(location.hash.slice(1))?.scrollIntoView();
    document.documentElement.classList.add("filled");
  });
})();
