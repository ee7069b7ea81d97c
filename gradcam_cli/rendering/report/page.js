"use strict";
/* What all parts of the report share: the numbers that its pictures have, and their previews. */
const page = (() => {
  const { data, byId, create } = base;
  const firsts = data.pictures.flatMap(({ predictions }) => predictions?.slice(0, 1) ?? []);
  const areValues = firsts.some(({ text }) => text !== undefined);
  const [lowest, highest] = areValues
    ? [Math.min, Math.max].map((most) => firsts.reduce((all, { p }) => most(all, p), firsts[0].p))
    : [0, 1];
  const areShares = firsts.some(({ share }) => share);
  const areObjects = firsts.some(({ box }) => box);
  const scale = { areValues, areShares, areObjects, lowest, highest, name: firsts[0]?.name };
  const source = (picture) => picture.file ?? byId(`preview-${picture.preview}`).textContent;

  // Two objects of a picture may have the same class.
  const keyOf = (target) => target.object ?? target.index;

  /* Draws the boxes of a detector's objects over a picture; that of the explained one is stronger. */
  function drawBoxes(stage, picture, explained) {
    for (const old of stage.querySelectorAll(".object")) old.remove();
    const [width, height] = picture.size;
    for (const { box, object } of picture.predictions) {
      if (!box) continue;
      const [left, top, right, bottom] = box;
      const drawn = create("span", "", object === explained ? "object explained" : "object");
      drawn.style.left = `${(100 * left) / width}%`;
      drawn.style.top = `${(100 * top) / height}%`;
      drawn.style.width = `${(100 * (right - left)) / width}%`;
      drawn.style.height = `${(100 * (bottom - top)) / height}%`;
      stage.append(drawn);
    }
  }

  return { ...base, scale, source, keyOf, drawBoxes };
})();
