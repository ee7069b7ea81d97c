"use strict";
/* Sheets: the pictures of a link, and one of them large. Links to them work from outside too. */
const sheet = (() => {
  const { data, byId, create, textOf } = base;
  const { strip, frames, isWrong } = strips;
  const PAGE = 60;
  const LARGE_SIDE = 640;
  const countOf = (number, noun = "picture") =>
    `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  /* Fills a list with some items, and a button below it for more. `make` returns the items of
     some entries. Filling it again replaces what is in it. Fulfilled when the first items are
     there. */
  const moreOf = new WeakMap();
  function fill(list, entries, make, first = PAGE, step = PAGE) {
    moreOf.get(list)?.remove();
    list.replaceChildren();
    const more = create("button", "", "quiet more");
    moreOf.set(list, more);
    more.type = "button";
    let shown = 0;
    async function show(number) {
      const some = entries.slice(shown, shown + number);
      shown += some.length;
      const from = list.children.length;
      const rest = entries.length - shown;
      more.hidden = rest === 0;
      more.textContent =
        rest > step ? `Show ${step} more of ${rest.toLocaleString("en")}` : `Show ${rest} more`;
      more.disabled = true;
      const items = await make(some, shown - some.length);
      // Another list may have been asked for in the meantime.
      if (moreOf.get(list) === more) list.append(...items);
      more.disabled = false;
      return list.children[from];
    }
    more.addEventListener("click", async () => {
      const item = await show(step);
      item?.querySelector("a, button")?.focus({ preventScroll: true });
    });
    list.after(more);
    // A button for a few more is worth less than they are.
    return show(entries.length < 1.5 * first ? entries.length : first);
  }

  /* Fills a list with the strips of pictures. */
  function fillStrips(list, pictures, first, step) {
    const make = async (numbers, from) =>
      (await shards.records("pictures", numbers)).map((record, place) =>
        strip(record, () => view(pictures, from + place)));
    return fill(list, pictures, make, first, step);
  }

  // One picture, large.

  const viewer = byId("viewer");
  let viewed = null;
  let blended = look.chosen.alpha || 0.5;

  async function view(pictures, place) {
    const [record] = await shards.records("pictures", [pictures[place]]);
    if (!record) return;
    viewed = { pictures, place };
    byId("viewer-frames").replaceChildren(
      ...frames(record, { side: LARGE_SIDE, lazy: false }),
    );
    byId("viewer-name").textContent = record.name;
    byId("viewer-folder").textContent = record.folder;
    const verdict = byId("verdict");
    verdict.hidden = !record.truth;
    verdict.className = isWrong(record) ? "wrong" : "right";
    if (record.truth) {
      verdict.textContent = isWrong(record)
        ? `✗ Wrong: the true class is ${record.truth.name}`
        : `✓ Right: ${record.truth.name}`;
    }
    drawPredictions(record);
    const notes = new Set([record.map?.note, record.truthMap?.note].filter(Boolean));
    byId("viewer-note").hidden = notes.size === 0;
    byId("viewer-note").textContent = [...notes].join(" ");
    byId("viewer-place").textContent =
      `${(place + 1).toLocaleString("en")} of ${pictures.length.toLocaleString("en")}`;
    byId("previous").disabled = place === 0;
    byId("next").disabled = place === pictures.length - 1;
    if (!viewer.open) viewer.showModal();
  }

  function drawPredictions(record) {
    const known = new Set(record.predictions.map(({ index }) => index));
    const others = record.truth && !known.has(record.truth.index) ? [record.truth] : [];
    byId("predictions").replaceChildren(
      ...[...record.predictions, ...others].map((entry) => {
        const row = create("div", "", "prediction");
        row.append(create("span", entry.name), create("span", textOf(entry)));
        if (entry.text === undefined) {
          const meter = create("span", "", "meter");
          const bar = create("i");
          bar.style.width = `${100 * entry.p}%`;
          meter.append(bar);
          row.append(meter);
        }
        if (entry.index === record.truth?.index) row.append(create("em", "true class"));
        return row;
      }),
    );
  }

  const step = (by) => {
    const place = viewed.place + by;
    if (place >= 0 && place < viewed.pictures.length) view(viewed.pictures, place);
  };
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onSlider = event.target.matches("input[type=range]");
    if (event.key === "ArrowRight" && !onSlider) step(1);
    else if (event.key === "ArrowLeft" && !onSlider) step(-1);
    else if (event.key.toLowerCase() === "o") {
      if (look.chosen.alpha > 0) blended = look.chosen.alpha;
      look.setAlpha(look.chosen.alpha > 0 ? 0 : blended);
    } else return;
    event.preventDefault();
  });

  // The pictures of a link.

  const sure = (a, b) => data.confidences[b] - data.confidences[a];
  const numbersWhere = (holds) => [...data.predicted.keys()].filter(holds).sort(sure);

  /* What a link shows: its title, what to say below, and the numbers of the pictures. */
  const routes = {
    finding: (number) => ({
      title: document.querySelectorAll(".finding .sentence")[number]?.textContent,
      pictures: data.findings[number],
    }),
    cell: (truth, predicted) => ({
      title:
        truth === predicted
          ? `${data.names[truth]}, predicted right`
          : `True ${data.names[truth]}, predicted ${data.names[predicted]}`,
      about: "the most confident first",
      pictures: numbersWhere(
        (number) => data.truths[number] === truth && data.predicted[number] === predicted,
      ),
    }),
    class: (predicted) => ({
      title: `Predicted ${data.names[predicted]}`,
      about: "the most confident first",
      pictures: numbersWhere((number) => data.predicted[number] === predicted),
    }),
    group: (number) => ({
      title: `A group of maps of ${data.groups[number]?.name}`,
      about: data.groups[number]?.suspicion,
      pictures: data.groups[number]?.pictures,
    }),
    twins: (number) => ({
      title: "Pictures that look the same",
      about: data.duplicates[number]?.classes.join(", "),
      pictures: data.duplicates[number]?.pictures,
    }),
  };

  const dialog = byId("sheet");
  function follow() {
    const [, name, numbers] = /^#(finding|cell|class|group|twins)-([\d-]+)$/.exec(location.hash) ?? [];
    const found = name && routes[name](...numbers.split("-").map(Number));
    if (!found?.pictures?.length) {
      dialog.close();
      return;
    }
    byId("sheet-title").textContent = found.title;
    byId("sheet-about").textContent =
      [countOf(found.pictures.length), found.about].filter(Boolean).join(" · ");
    if (viewer.open) viewer.close();
    if (!dialog.open) dialog.showModal();
    dialog.querySelector(".sheet-body").scrollTop = 0;
    fillStrips(byId("sheet-strips"), found.pictures);
  }
  dialog.addEventListener("close", () => {
    byId("sheet-strips").replaceChildren();
    // The link is no longer where the reader is.
    if (/^#\w+-\d/.test(location.hash)) history.replaceState(null, "", "#");
  });
  for (const button of document.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  window.addEventListener("hashchange", follow);
  follow();

  return { fill, fillStrips, countOf };
})();
