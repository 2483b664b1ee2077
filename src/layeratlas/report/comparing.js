"use strict";
atlas.loaded().then((loaded) => {
  if (!loaded) return;
  const { data, rows } = loaded;

  // A chart reads the rows that match its element's `data-where`; rows without these fields are read whole.
  function rowsOf(element) {
    const wanted = Object.entries(JSON.parse(element.dataset.where || "{}"));
    const belongs = (row) => wanted.every(([name, value]) => !(name in row) || row[name] === value);
    return Object.fromEntries(data.reads[element.dataset.chart].map((name) => [name, rows[name].filter(belongs)]));
  }
  async function show(element) {
    const spec = structuredClone(data.specs[element.dataset.chart]);
    spec.datasets = rowsOf(element);
    const result = await atlas.draw(element, spec);
    atlas.taking.chart(element, result, data.colours, () => Object.values(spec.datasets)[0]);
  }

  // A cell of the map links to its curve; open the part that holds it.
  const visit = () => atlas.visit(decodeURIComponent(location.hash.slice(1)));
  atlas.whenNear([...document.querySelectorAll("[data-chart]")], show).then(visit);
  window.addEventListener("hashchange", visit);
});
