"use strict";
(() => {
  const { data, rows } = atlas;

  // A chart reads the rows that match its element's `data-where`; rows without these fields are read whole.
  function specFor(element) {
    const spec = structuredClone(data.specs[element.dataset.chart]);
    const wanted = Object.entries(JSON.parse(element.dataset.where || "{}"));
    const belongs = (row) => wanted.every(([name, value]) => !(name in row) || row[name] === value);
    spec.datasets = Object.fromEntries(data.reads[element.dataset.chart].map((name) => [name, rows[name].filter(belongs)]));
    return spec;
  }
  const draw = (element) => atlas.draw(element, specFor(element));

  const all = [...document.querySelectorAll("[data-chart]")];
  const drawn = new Set();
  const once = (element) => {
    if (drawn.has(element) || !element.clientWidth) return Promise.resolve();
    drawn.add(element);
    return draw(element);
  };
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) once(entry.target);
  }, { rootMargin: "800px" });
  for (const element of all) watch.observe(element);
  window.addEventListener("beforeprint", () => { for (const element of all) once(element); });
  const first = all.filter((element) => element.getBoundingClientRect().top < innerHeight);
  Promise.all(first.map(once)).then(() => { document.documentElement.dataset.ready = "yes"; });

  // A cell of the map links to its curve; open the section that holds it.
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const part = target && target.closest("details");
    if (part && !part.open) { part.open = true; target.scrollIntoView(); }
  };
  window.addEventListener("hashchange", open);
  open();
})();
