"use strict";
/* The viewer: one picture, large, with the maps of its classes and methods. */
(() => {
  const { data, byId, create, scale, textOf, fileName, source, keyOf, drawBoxes } = page;
  const { look, colormaps, levelsOf, paint, lay, setColormap, setAlpha } = heat;
  const folderOf = (path) => path.slice(0, path.length - fileName(path).length);
  const viewer = byId("viewer");
  let current = null;
  let blended = data.alpha || 0.5;

  function open(card) {
    if (!viewer.open) viewer.showModal();
    const { picture } = card;
    // The method, and the class where the picture has it, stay chosen.
    const method = current?.map.method;
    const map = picture.maps.find((entry) => entry.method === method) ?? picture.maps[0];
    current = { card, map };
    const stage = byId("stage");
    stage.style.setProperty("--shape", picture.size[0] / picture.size[1]);
    byId("original").src = source(picture);
    byId("viewer-name").textContent = fileName(picture.path);
    byId("viewer-folder").textContent = folderOf(picture.path);
    const verdict = byId("verdict");
    verdict.hidden = picture.correct === undefined;
    verdict.className = picture.correct ? "right" : "wrong";
    verdict.textContent = picture.correct
      ? `✓ Right: ${picture.truth ?? picture.predictions[0].name}`
      : `✗ Wrong: the true class is ${picture.truth ?? "another"}`;
    const shown = grid.shown();
    const place = shown.indexOf(card);
    byId("viewer-place").textContent = `${place + 1} of ${shown.length}`;
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place >= shown.length - 1;
    choose(map);
  }

  function choose(map) {
    current.map = map;
    drawPredictions();
    drawMethods();
    const { picture } = current.card;
    byId("original").alt =
      `${fileName(picture.path)}, heat map of ${map.method} for ${map.target.name}`;
    lay(byId("heat"), map, picture.size);
    drawBoxes(byId("stage"), picture, map.target.object);
    current.levels = levelsOf(map, ...map.size);
    drawHeat();
  }

  function drawHeat() {
    paint(byId("heat"), current.levels, ...current.map.size);
    writeCommand();
  }

  function mapsOfMethod() {
    return current.card.picture.maps.filter((entry) => entry.method === current.map.method);
  }

  function drawPredictions() {
    const { picture } = current.card;
    const list = byId("predictions");
    const focused = list.contains(document.activeElement);
    list.replaceChildren();
    const maps = mapsOfMethod();
    const known = new Set(picture.predictions.map(keyOf));
    const others = maps.map((map) => map.target).filter((target) => !known.has(keyOf(target)));
    for (const prediction of [...picture.predictions, ...others]) {
      const map = maps.find((entry) => keyOf(entry.target) === keyOf(prediction));
      const row = create(map ? "button" : "div", "", "prediction");
      row.append(create("span", prediction.name), create("span", textOf(prediction)));
      if (!scale.areValues) {
        const meter = create("span", "", "meter");
        const bar = create("i");
        bar.style.width = `${100 * prediction.p}%`;
        meter.append(bar);
        row.append(meter);
      }
      if (map) {
        row.type = "button";
        row.setAttribute("aria-pressed", String(map === current.map));
        row.addEventListener("click", () => choose(map));
        if (map.note) row.append(create("em", map.note));
      }
      list.append(row);
    }
    if (focused) list.querySelector('[aria-pressed="true"]').focus();
  }

  function drawMethods() {
    const methods = [...new Set(current.card.picture.maps.map((map) => map.method))];
    byId("methods-section").hidden = methods.length < 2;
    const group = byId("methods");
    const focused = group.contains(document.activeElement);
    group.replaceChildren();
    for (const method of methods) {
      const button = create("button", method);
      button.type = "button";
      button.setAttribute("aria-pressed", String(method === current.map.method));
      button.addEventListener("click", () => {
        const { maps } = current.card.picture;
        const same = maps.filter((map) => map.method === method);
        const key = keyOf(current.map.target);
        choose(same.find((map) => keyOf(map.target) === key) ?? same[0]);
      });
      group.append(button);
      if (focused && method === current.map.method) button.focus();
    }
  }

  function writeCommand() {
    const { card, map } = current;
    const parts = [
      "gradcam explain",
      card.picture.argument,
      ...data.arguments,
      ...map.arguments,
      ...map.classes.map((index) => `--class ${index}`),
      ...(map.classes.length > 1 ? ["--join"] : []),
      `--colormap ${look.colormap}`,
      `--alpha ${look.alpha}`,
    ];
    // Lines break between the parts, not at the hyphens inside of them.
    byId("command").replaceChildren(
      ...parts.flatMap((part, number) => [number ? " " : "", create("span", part)]),
    );
  }

  function step(by) {
    const shown = grid.shown();
    const card = shown[shown.indexOf(current.card) + by];
    if (card) open(card);
  }

  if (scale.areObjects) byId("classes-title").textContent = "Why this object?";
  if (scale.areValues) byId("classes-title").textContent = "Why this value?";
  grid.list.addEventListener("click", (event) => {
    const item = event.target.closest(".card button")?.parentElement;
    if (item) open(grid.cardOf.get(item));
  });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("close", () => {
    const { item } = current.card;
    current = null;
    byId("original").removeAttribute("src");
    item.scrollIntoView({ block: "nearest" });
    item.firstElementChild.focus();
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onSlider = event.target.matches("input[type=range]");
    if (event.key === "ArrowRight" && !onSlider) step(1);
    else if (event.key === "ArrowLeft" && !onSlider) step(-1);
    else if (event.key.toLowerCase() === "c") {
      setColormap(colormaps[(colormaps.indexOf(look.colormap) + 1) % colormaps.length]);
    } else if (event.key.toLowerCase() === "o") {
      if (look.alpha > 0) blended = look.alpha;
      setAlpha(look.alpha > 0 ? 0 : blended);
    } else if (/^[1-9]$/.test(event.key)) {
      const map = mapsOfMethod()[event.key - 1];
      if (map) choose(map);
    } else return;
    event.preventDefault();
  });

  byId("copy").addEventListener("click", async () => {
    const command = byId("command");
    try {
      await navigator.clipboard.writeText(command.textContent);
    } catch {
      // Without permission the text is at least selected, and most browsers still copy it.
      getSelection().selectAllChildren(command);
      document.execCommand("copy");
    }
    byId("copy").textContent = "Copied";
    setTimeout(() => { byId("copy").textContent = "Copy"; }, 1500);
  });

  document.addEventListener("colormap", () => { if (current) drawHeat(); });
  document.addEventListener("alpha", () => { if (current) writeCommand(); });
})();
