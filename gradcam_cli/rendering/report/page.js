"use strict";
/* What all parts of the report share: the numbers that its pictures have, and their previews. */
const page = (() => {
  const { data, byId } = base;
  const firsts = data.pictures.flatMap(({ predictions }) => predictions?.slice(0, 1) ?? []);
  const areValues = firsts.some(({ text }) => text !== undefined);
  const [lowest, highest] = areValues
    ? [Math.min, Math.max].map((most) => firsts.reduce((all, { p }) => most(all, p), firsts[0].p))
    : [0, 1];
  const areShares = firsts.some(({ share }) => share);
  const scale = { areValues, areShares, lowest, highest, name: firsts[0]?.name };
  const source = (picture) => picture.file ?? byId(`preview-${picture.preview}`).textContent;

  return { ...base, scale, source };
})();
