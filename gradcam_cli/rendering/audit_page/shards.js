"use strict";
/* Shards: the records of pictures and mean maps, loaded from beside the page when needed.

   A page that is a file may not read other files, but it may load them as scripts, which call
   `gradcamShard`. */
const shards = (() => {
  const { data, byId } = base;
  const arrived = new Map();
  const asked = new Map();
  window.gradcamShard = (table, number, records) => arrived.set(`${table} ${number}`, records);

  function load(table, number) {
    const key = `${table} ${number}`;
    if (!asked.has(key)) {
      asked.set(
        key,
        new Promise((resolve) => {
          const script = document.createElement("script");
          script.src = data.shards[table].files[number];
          const end = () => {
            script.remove();
            resolve(arrived.get(key));
          };
          script.onload = end;
          script.onerror = () => {
            byId("missing").hidden = false;
            end();
          };
          document.head.append(script);
        }),
      );
    }
    return asked.get(key);
  }

  /* The records with these numbers; undefined for those whose script isn't there. */
  async function records(table, numbers) {
    const { size } = data.shards[table];
    const placeOf = (number) => Math.floor(number / size);
    const parts = new Map(
      await Promise.all(
        [...new Set(numbers.map(placeOf))].map(async (place) => [place, await load(table, place)]),
      ),
    );
    return numbers.map((number) => parts.get(placeOf(number))?.[number % size]);
  }

  return { records };
})();
